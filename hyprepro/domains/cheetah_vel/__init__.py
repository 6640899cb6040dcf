"""Cheetah-Vel: from one number, the target velocity, to a policy; the paper's Table 4."""
