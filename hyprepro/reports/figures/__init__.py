"""Figures: pictures of results, from their records."""
