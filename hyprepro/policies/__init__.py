"""The policies that are generated: their parameter layout and their stacked, deterministic forward pass."""
