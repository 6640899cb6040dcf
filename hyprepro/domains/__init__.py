"""Domains: what tasks there are, and what simulates them."""
