"""Tasks described in words, and the words as vectors: what CARE is told about a task."""
