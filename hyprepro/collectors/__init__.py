"""Where expert policies come from: scripted experts, DAgger clones, batched SAC, stable-baselines3 as the reference."""
