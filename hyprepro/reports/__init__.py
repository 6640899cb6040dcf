"""Records to numbers, numbers to tables."""
