"""CARE: one policy for all tasks, told the task in words."""
