"""Stages and their artifacts: planned, made by workers, kept in a cache, gone on with after a kill."""
