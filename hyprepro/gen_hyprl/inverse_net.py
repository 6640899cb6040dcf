"""The network of `hyprepro.gen_hyprl.inverse`: its samples out of the store, and one training step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from hyprepro.engine.training import Descent, device
from hyprepro.gen_hyprl.blocks import mlp
from hyprepro.gen_hyprl.world_net import HELD_OUT, SMALLEST, episodes_of

if TYPE_CHECKING:
    from hyprepro.domains.scenes import Scene
    from hyprepro.gen_hyprl.inverse import InverseModel
    from hyprepro.stores.files import StoreFiles

INPUTS = 9
VECTORS = (slice(0, 3), slice(4, 7))
"""Of the inputs: the hand's last step, and its way to go."""
LARGEST = 6.0
"""Standardised inputs are cut off there."""


class Moves(NamedTuple):
    """Of the steps of episodes what `way` says `[N, 9]`, and the actions `[N, act]`."""

    inputs: Tensor
    actions: Tensor


def way(scene: Scene, observations: Tensor, there: Tensor) -> Tensor:
    """The hand's and gripper's last step, their way to go to a frame, and the gripper's opening `[..., 9]`.

    Args:
        scene: Says what is where.
        observations: The observations `[..., obs]`.
        there: The frames to come to `[..., frame]`.
    """
    now = observations[..., : scene.frame_size]
    before = observations[..., scene.frame_size : scene.frame_size + 4]
    return torch.cat([now[..., :4] - before, there[..., :4] - now[..., :4], now[..., 3:4]], dim=-1)


def moves_of(stores: StoreFiles, scene: Scene, ahead: int) -> Moves:
    """All steps of the training episodes of the training tasks that are `ahead` steps before some other.

    Raises:
        UserError: There is none.
    """
    parts = [
        Moves(way(scene, seen[:-ahead], seen[ahead:, : scene.frame_size]), acted[: len(seen) - ahead])
        for seen, acted in episodes_of(stores, "an inverse model of the hand", longer_than=ahead)
    ]
    return Moves(*(torch.cat(each) for each in zip(*parts, strict=True)))


class InverseNetwork(nn.Module):
    """An MLP from what `way` says to actions; `spread` of its inputs, the same along all three axes.

    Args:
        hidden: Hidden widths.
        actions: Numbers of an action.
    """

    spread: Tensor

    def __init__(self, hidden: Sequence[int], actions: int) -> None:
        super().__init__()
        self.layers = mlp((INPUTS, *hidden, actions), "relu")
        self.register_buffer("spread", torch.ones(INPUTS))

    def forward(self, inputs: Tensor) -> Tensor:
        """Actions `[..., act]` in (-1, 1) for `[..., 9]`."""
        return torch.tanh(self.layers((inputs / self.spread).clamp(-LARGEST, LARGEST)))

    @torch.no_grad()
    def leading(self, scene: Scene, observations: Tensor, there: Tensor) -> Tensor:
        """The actions `[..., act]` that lead the hand from observations `[..., obs]` to frames `[..., frame]`."""
        found: Tensor = self(way(scene, observations, there))
        return found


class InverseJob(Descent["InverseModel", InverseNetwork]):
    """Steps on the mean squared error of actions.

    Args:
        settings: The model's settings.
        inputs: What actions depend on `[N, 9]`.
        actions: The actions `[N, act]`.
    """

    def __init__(self, settings: InverseModel, inputs: Tensor, actions: Tensor) -> None:
        sizes = (int(actions.shape[1]),)
        super().__init__(settings, settings.build(*sizes), sizes)
        self.network.spread.copy_(_spread(inputs))
        held_out = torch.arange(len(inputs)) % HELD_OUT == HELD_OUT - 1
        self._known, self._held_out = (
            Moves(inputs[rows].to(device()), actions[rows].to(device())) for rows in (~held_out, held_out)
        )

    def losses(self) -> Mapping[str, Tensor]:
        """The error on a batch, drawn with repetition."""
        inputs, actions = self._known
        rows = torch.randint(len(inputs), (min(self.settings.batch_size, len(inputs)),)).to(inputs.device)
        some = Moves(inputs[rows], actions[rows])
        if self.settings.turned:
            some = turned(some)
        return {"loss": (self.network(some.inputs) - some.actions).square().mean()}

    def validate(self) -> dict[str, float]:
        """The error on held-out steps."""
        return {
            "validation_error": float((self.network(self._held_out.inputs) - self._held_out.actions).square().mean())
        }


def turned(moves: Moves) -> Moves:
    """Each turned about the vertical by any angle, half of them mirrored before."""
    inputs, actions = moves.inputs.clone(), moves.actions.clone()
    angle = 2 * torch.pi * torch.rand(len(inputs)).to(inputs.device)
    side = torch.where(torch.rand(len(inputs)) < 0.5, -1.0, 1.0).to(inputs.device)
    cosine, sine = angle.cos(), angle.sin()
    for vector in (*(inputs[:, some] for some in VECTORS), actions):
        x, y = vector[:, 0] * side, vector[:, 1].clone()
        vector[:, 0], vector[:, 1] = cosine * x - sine * y, sine * x + cosine * y
    return Moves(inputs, actions)


def _spread(inputs: Tensor) -> Tensor:
    """Root of the mean square of each input, of vectors the same along all axes; 1 of one that never changes."""
    spread = inputs.square().mean(0).sqrt()
    for some in VECTORS:
        spread[some] = spread[some].mean()
    return torch.where(spread > SMALLEST, spread, torch.ones_like(spread))
