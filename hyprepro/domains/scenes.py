"""What the numbers of an observation stand for, where a domain says so: what may be moved, what must come where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor

Symmetry = Literal["shift", "turn", "mirror"]
"""A change of the whole scene under which the same behaviour, changed alike, is right again."""


class Scene(Protocol):
    """Observations are `[..., obs]`, actions `[..., act]`, with the same leading axes; nothing given is changed.

    An observation begins with a frame, and the previous frame follows. A frame begins with the place of the robot's
    hand (3) and its gripper (1); an action with where the hand is to move (3), the gripper follows.

    Attributes:
        change_size: Length of what `change` gives.
        input_size: Length of what `inputs` gives.
        frame_size: Length of a frame.
        objects: Where in a frame the places (3) of objects begin.
        goal: Where in an observation the place (3) of the goal begins.
    """

    change_size: int
    input_size: int
    frame_size: int
    objects: tuple[int, ...]
    goal: int

    def changed(
        self, symmetry: Symmetry, amount: float, observations: Tensor, actions: Tensor, draws: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The same scenes and actions after a symmetry, drawn anew for every observation.

        Args:
            symmetry: One of `Domain.symmetries`.
            amount: How far at most, in the domain's units; of a mirror the share that is mirrored.
            observations: The observations.
            actions: The action in each.
            draws: Where the randomness comes from (CPU).
        """

    def shifted(self, observations: Tensor, by: Tensor) -> Tensor:
        """The same with everything elsewhere, by `[..., 3]`."""

    def elsewhere(self, shape: Sequence[int], amount: float, draws: torch.Generator) -> Tensor:
        """How far `[*shape, 3]` another instance of a task may lie: `amount` at most along each axis that varies."""

    def rearranged(self, observations: Tensor, by: Tensor) -> Tensor:
        """The same with all but the robot elsewhere, by `[..., 3]`: another instance of the task."""

    def inputs(self, observations: Tensor, actions: Tensor) -> Tensor:
        """What the next observation depends on `[..., input_size]`, in coordinates that move with the scene."""

    def change(self, observations: Tensor, following: Tensor) -> Tensor:
        """What of the next observation `following` is new `[..., change_size]`."""

    def advanced(self, observations: Tensor, change: Tensor) -> Tensor:
        """The next observation, from what of it is new."""

    def places(self, observations: Tensor) -> Tensor:
        """The coordinates `[..., K]` of the robot and of objects, which say whether a task is done."""
