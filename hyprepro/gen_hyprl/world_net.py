"""The ensemble of `hyprepro.gen_hyprl.world`: its steps out of the store, the networks, one training step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from hyprepro.engine.training import Descent, device
from hyprepro.errors import UserError

if TYPE_CHECKING:
    from hyprepro.domains.scenes import Scene
    from hyprepro.gen_hyprl.world import Dynamics
    from hyprepro.stores.files import StoreFiles

HELD_OUT = 10
"""Every so many steps one is held out."""
SMALLEST = 1e-4
"""Smallest deviation that is divided by: what never changes tells nothing."""


class Steps(NamedTuple):
    """Steps of episodes: what they depend on `[N, I]`, what is new after them `[N, O]`, where things are `[N, K]`."""

    inputs: Tensor
    changes: Tensor
    places: Tensor


def steps_of(stores: StoreFiles, scene: Scene) -> Steps:
    """All steps of the training episodes of the training tasks (`UserError` if there is none)."""
    parts = []
    for seen, acted in episodes_of(stores, "a model of the world"):
        now, then = seen[:-1], seen[1:]
        parts.append(Steps(scene.inputs(now, acted), scene.change(now, then), scene.places(now)))
    return Steps(*(torch.cat(each) for each in zip(*parts, strict=True)))


def episodes_of(stores: StoreFiles, what: str, longer_than: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Observations `[T + 1, obs]` and actions `[T, act]` of each training episode of the training tasks.

    Args:
        stores: The stores.
        what: What is learnt from them, for messages.
        longer_than: Episodes of no more steps are left out.

    Raises:
        UserError: There is none.
    """
    from hyprepro.stores.prompts import refuse_prompts_only

    with stores.open_policies() as policies, stores.open_trajectories() as store:
        refuse_prompts_only(store)
        found = [
            (torch.from_numpy(episode.observations), torch.from_numpy(episode.actions).clamp(-1.0, 1.0))
            for task in policies.training_tasks()
            for episode in store.episodes(task, "train")
            if len(episode.actions) > longer_than
        ]
        if not found:
            raise UserError(
                f"The store has no training episode to learn {what} from.",
                where=store.where,
                fix=f"hyprepro store info {store.path}",
            )
    return found


class DynamicsEnsemble(nn.Module):
    """Several MLPs as stacked weights; `mean` and `spread` of inputs and changes, and the spread of places.

    Args:
        members: M, how many.
        sizes: Of inputs, hidden layers and changes.
        places: Length of what tells where things are.
    """

    def __init__(self, members: int, sizes: Sequence[int], places: int) -> None:
        super().__init__()
        bounds = [inputs**-0.5 for inputs in sizes[:-1]]
        shapes = zip(pairwise(sizes), bounds, strict=True)
        self.weights = nn.ParameterList(
            nn.Parameter(bound * (2 * torch.rand(members, *shape) - 1)) for shape, bound in shapes
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(members, 1, size)) for size in sizes[1:])
        for name, size in (("input", sizes[0]), ("change", sizes[-1])):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_spread", torch.ones(size))
        self.register_buffer("lowest", torch.full((sizes[-1],), -torch.inf))
        self.register_buffer("highest", torch.full((sizes[-1],), torch.inf))
        self.register_buffer("place_spread", torch.ones(places))

    input_mean: Tensor
    input_spread: Tensor
    change_mean: Tensor
    change_spread: Tensor
    lowest: Tensor
    highest: Tensor
    place_spread: Tensor

    def forward(self, inputs: Tensor) -> Tensor:
        """Every member's standardised change `[M, B, O]` for standardised inputs, `[M, B, I]` or `[B, I]` for all."""
        x = inputs if inputs.ndim == 3 else inputs.expand(len(self.biases[0]), *inputs.shape)
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, torch.relu_(x) if number else x, weight)
        return x

    def standardised(self, steps: Steps) -> tuple[Tensor, Tensor]:
        """Inputs and changes as the members see them."""
        changes = (steps.changes - self.change_mean) / self.change_spread
        return (steps.inputs - self.input_mean) / self.input_spread, changes

    @torch.no_grad()
    def change(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The change `[B, O]` for inputs `[B, I]`, none larger than ever seen, and the members' disagreement `[B]`."""
        predicted = self((inputs - self.input_mean) / self.input_spread)
        mean = predicted.mean(dim=0)
        doubt = (predicted - mean).square().mean(dim=(0, 2)).sqrt()
        change = mean * self.change_spread + self.change_mean
        return torch.minimum(torch.maximum(change, self.lowest), self.highest), doubt

    @torch.no_grad()
    def errors(self, inputs: Tensor, changes: Tensor) -> Tensor:
        """Squared error of the mean prediction `[B]`, a share of the changes' variance in training."""
        predicted, _ = self.change(inputs)
        return ((predicted - changes) / self.change_spread).square().mean(dim=1)


class DynamicsJob(Descent["Dynamics", DynamicsEnsemble]):
    """Steps on the mean squared error of all members, each on a batch of its own.

    Args:
        settings: The model's settings.
        inputs: What steps depend on `[N, I]`.
        changes: What is new after them `[N, O]`.
        places: Where things are `[N, K]`.
    """

    def __init__(self, settings: Dynamics, inputs: Tensor, changes: Tensor, places: Tensor) -> None:
        shape = (inputs.shape[1], changes.shape[1], places.shape[1])
        super().__init__(settings, settings.build(*shape), shape)
        network, every = self.network, Steps(inputs, changes, places)
        network.input_mean.copy_(inputs.mean(0))
        network.input_spread.copy_(_spread(inputs))
        network.change_mean.copy_(changes.mean(0))
        network.change_spread.copy_(_spread(changes))
        network.lowest.copy_(changes.amin(0))
        network.highest.copy_(changes.amax(0))
        network.place_spread.copy_(_spread(places))
        held_out = torch.arange(len(inputs)) % HELD_OUT == HELD_OUT - 1
        parts = (Steps(*(part[rows].to(device()) for part in every)) for rows in (~held_out, held_out))
        self._known, self._held_out = (network.standardised(part) for part in parts)

    def losses(self) -> Mapping[str, Tensor]:
        """The error on a batch for each member, drawn with repetition."""
        inputs, changes = self._known
        members = len(self.network.biases[0])
        rows = torch.randint(len(inputs), (members, min(self.settings.batch_size, len(inputs)))).to(inputs.device)
        shaken = inputs[rows]
        shaken = shaken + self.settings.input_noise * torch.randn(shaken.shape).to(inputs.device)
        return {"loss": (self.network(shaken) - changes[rows]).square().mean()}

    def validate(self) -> dict[str, float]:
        """The error of the mean prediction on held-out steps."""
        inputs, changes = self._held_out
        return {"validation_error": float((self.network(inputs).mean(dim=0) - changes).square().mean())}


def _spread(values: Tensor) -> Tensor:
    """The deviation of each column; 1 of one that never changes."""
    spread = values.std(0, correction=0)
    return torch.where(spread > SMALLEST, spread, torch.ones_like(spread))
