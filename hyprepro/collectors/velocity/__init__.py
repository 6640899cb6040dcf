"""Experts for Cheetah-Vel: a velocity-conditioned parent, one expert a velocity grown from it, and their stores."""
