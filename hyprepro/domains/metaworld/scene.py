"""Where hand, objects and goal stand in an observation of Meta-World, and how a scene is shifted, turned, mirrored.

An observation is a frame, the previous frame and the goal. A frame: the hand (3), the gripper (1), and for each of two
objects its position (3) and its orientation (4). What a task does not have is zero and stays so.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hyprepro.domains.scenes import Symmetry
from hyprepro.stores.prompts import FRAME

HAND, GRIPPER = 0, 3
OBJECTS: tuple[int, ...] = (4, 11)
POSITIONS = (HAND, *OBJECTS)
ORIENTATIONS = (*range(7, 11), *range(14, 18))
PARTS = [3, 1, 3, 4, 3, 4]
"""Lengths of what a frame holds."""
GOAL = 2 * FRAME
ALL_POINTS = (*POSITIONS, *(FRAME + first for first in POSITIONS), GOAL)
"""First of the three columns of everything that has a place; the hand comes first."""


class MetaWorldScene:
    """See `hyprepro.domains.scenes.Scene`; metres and radians.

    Orientations are never turned or mirrored: most objects never rotate, and from one that does a policy would read
    the turn, which no real scene tells.
    """

    frame_size = change_size = FRAME
    objects = OBJECTS
    goal = GOAL
    input_size = 8 + 7 * len(OBJECTS) + len(ORIENTATIONS) + 4

    def changed(
        self, symmetry: Symmetry, amount: float, observations: Tensor, actions: Tensor, draws: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Shift by up to `amount` metres along each axis, or turn or mirror about the hand.

        A turn is about the vertical, by up to `amount` radians; a mirror swaps left and right, in a share `amount` of
        the observations.
        """
        points = _points(observations, ALL_POINTS)
        lead = observations.shape[:-1]
        if symmetry == "shift":
            return self.shifted(observations, amount * (2 * torch.rand((*lead, 3), generator=draws) - 1)), actions
        hand = points[..., :1, :]
        if symmetry == "mirror":
            side = 1 - 2 * (torch.rand((*lead, 1), generator=draws) < amount).float()
            matrix = torch.diag_embed(torch.cat([side, torch.ones((*lead, 2))], dim=-1))
        else:
            matrix = _turns(amount * (2 * torch.rand(lead, generator=draws) - 1))
        turned = (points - hand) @ matrix.mT + hand
        acted = torch.cat([(matrix @ actions[..., :3, None])[..., 0], actions[..., 3:]], dim=-1)
        return _with_points(observations, ALL_POINTS, turned), acted

    def shifted(self, observations: Tensor, by: Tensor) -> Tensor:
        """Hand, objects and goal, now and in the previous frame."""
        return _with_points(observations, ALL_POINTS, _points(observations, ALL_POINTS) + by[..., None, :])

    def elsewhere(self, shape: Sequence[int], amount: float, draws: torch.Generator) -> Tensor:
        """Along the table: hardly any task varies heights."""
        by = amount * (2 * torch.rand((*shape, 3), generator=draws) - 1)
        return by * by.new_tensor([1.0, 1.0, 0.0])

    def rearranged(self, observations: Tensor, by: Tensor) -> Tensor:
        """Objects and goal elsewhere, now and in the previous frame."""
        moved = tuple(first for first in ALL_POINTS if first not in (HAND, FRAME + HAND))
        return _with_points(observations, moved, _points(observations, moved) + by[..., None, :])

    def inputs(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Hand, gripper, objects (from the hand), orientations, their last step, the action."""
        now, before = observations[..., :FRAME], observations[..., FRAME : 2 * FRAME]
        hand, step = now[..., :3], now - before
        parts = [hand, now[..., 3:4], step[..., :4]]
        for first in OBJECTS:
            place = now[..., first : first + 3]
            there = (place != 0).any(dim=-1, keepdim=True).to(place.dtype)
            parts += [(place - hand) * there, step[..., first : first + 3], there]
        return torch.cat([*parts, now[..., ORIENTATIONS], actions], dim=-1)

    def change(self, observations: Tensor, following: Tensor) -> Tensor:
        """The difference of the frames."""
        return following[..., :FRAME] - observations[..., :FRAME]

    def advanced(self, observations: Tensor, change: Tensor) -> Tensor:
        """The frame has become the previous one; what is not there stays away."""
        now = observations[..., :FRAME]
        parts = zip(now.split(PARTS, dim=-1), change.split(PARTS, dim=-1), strict=True)  # type: ignore[no-untyped-call]
        new = [torch.where((old != 0).any(dim=-1, keepdim=True), old + step, old) for old, step in parts]
        return torch.cat([*new, now, observations[..., GOAL:]], dim=-1)

    def places(self, observations: Tensor) -> Tensor:
        """Hand and both objects."""
        return _points(observations, POSITIONS).flatten(-2)


def _points(observations: Tensor, firsts: tuple[int, ...]) -> Tensor:
    """Some points `[..., k, 3]`."""
    return torch.stack([observations[..., first : first + 3] for first in firsts], dim=-2)


def _with_points(observations: Tensor, firsts: tuple[int, ...], points: Tensor) -> Tensor:
    """With those points elsewhere that the task has."""
    changed = observations.clone()
    for number, first in enumerate(firsts):
        old = observations[..., first : first + 3]
        there = (old != 0).any(dim=-1, keepdim=True)
        changed[..., first : first + 3] = torch.where(there, points[..., number, :], old)
    return changed


def _turns(angles: Tensor) -> Tensor:
    """Rotations `[..., 3, 3]` about the vertical."""
    cosine, sine, zero, one = angles.cos(), angles.sin(), torch.zeros_like(angles), torch.ones_like(angles)
    rows = [cosine, -sine, zero, sine, cosine, zero, zero, zero, one]
    return torch.stack(rows, dim=-1).view(*angles.shape, 3, 3)
