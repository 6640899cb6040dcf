"""Stores, results and trained generators on the Hugging Face Hub: what is sent, its card, and how it is checked."""
