"""Policies out of the policy store by velocity, as the reference rows need them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from hyprepro.envs.velocities import velocity_task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hyprepro.stores.policy_store import PolicyStore

Checkpoints = Literal["all", "last"]


def policies_of(store: PolicyStore, velocity: float, checkpoints: Checkpoints = "all") -> NDArray[np.float32]:
    """Stored policies of a velocity, of whatever split, by their training step `[n, P]`: all, or the last alone."""
    task = velocity_task(velocity)
    order = store.meta(task)["step"].argsort(kind="stable")
    return store.read(task, order if checkpoints == "all" else order[-1:])


def neighbours(velocities: tuple[float, ...], target: float) -> tuple[float, float, float]:
    """The training velocities around a target, and its place between them.

    Returns:
        The next slower and the next faster one, and the share of the way from the first to the second; at the ends of
        the range the same velocity twice and 0.
    """
    slower = [velocity for velocity in velocities if velocity <= target]
    faster = [velocity for velocity in velocities if velocity >= target]
    if not slower or not faster:
        only = (slower or faster)[-1 if slower else 0]
        return only, only, 0.0
    low, high = slower[-1], faster[0]
    return low, high, (target - low) / (high - low) if high > low else 0.0
