"""Recipes, the protocols that they score by, and how they run."""
