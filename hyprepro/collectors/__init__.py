"""How expert policies come into being: scripted experts, DAgger clones, batched SAC, and stable-baselines3 as the reference."""
