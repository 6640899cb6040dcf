"""Experts of a domain of numbers: a conditioned parent, one expert a task grown from it, and their stores."""
