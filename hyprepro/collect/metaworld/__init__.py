"""Zoos of Meta-World: experts cloned from scripted ones or trained from scratch, and their prompts."""
