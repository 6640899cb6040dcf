"""Zoos of a domain whose condition is numbers: a conditioned parent, experts that grow from it, their episodes."""
