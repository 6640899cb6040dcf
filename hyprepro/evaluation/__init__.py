"""Evaluation: controllers run on goals, and every episode becomes one tidy record."""
