"""Pictures of results, drawn with matplotlib (the extra `plot`) from the content of a result.json alone."""
