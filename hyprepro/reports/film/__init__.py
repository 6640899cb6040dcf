"""Films: pictures side by side with their captions, and the files that they are written to."""
