"""Soft actor-critic: one learner for stacked agents, and one loop that can be killed at any moment."""
