"""Stores from and for other tools."""
