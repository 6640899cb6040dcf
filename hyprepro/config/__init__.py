"""What stands between gin files and components, all of it without gin: files, checks, building, descriptions."""
