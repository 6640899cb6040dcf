"""MACAW: offline meta-reinforcement learning with advantage weighting."""
