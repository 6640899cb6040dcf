"""Reproduce, question and build on Gen-HypRL: networks that write the weights of other policies."""
