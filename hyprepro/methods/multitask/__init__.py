"""Multi-task SAC: one actor and one pair of critics for all tasks; how they share is a slot, and how gradients mix."""
