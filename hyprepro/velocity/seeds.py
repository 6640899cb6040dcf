"""Seeds of the draws at deployment."""

from __future__ import annotations

import hashlib

from hyprepro.envs.velocities import velocity_task


def derived_seed(seed: int, target: float) -> int:
    """A seed of 32 bits that differs between a method's seeds and between target velocities."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{velocity_task(target)}".encode()).digest()[:4], "big")
