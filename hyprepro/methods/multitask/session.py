"""A trained multi-task policy, and its sessions at test time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hyprepro.collect.sac.networks import Normaliser
from hyprepro.errors import refuse_unknown
from hyprepro.methods.multitask.text import require
from hyprepro.policies.controllers import AlikeControllers, Controllers, LayeredControllers, Layers

Vectors = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class MultiTaskPolicy:
    """The trained actor with all that it needs to act in any task that it can be told.

    Attributes:
        actor: The actor, frozen.
        normaliser: Of observations.
        told: What tells each task: its label, or the vector of its description.
        labelled: Whether these are labels.
    """

    actor: nn.Module
    normaliser: Normaliser
    told: dict[str, NDArray[np.float32]]
    labelled: bool

    def controllers(self, task: str, n: int) -> Controllers:
        """`n` controllers of a task that all act alike (`UserError` if it cannot be told the task)."""
        vector = self._vector(task)
        layers: Callable[[torch.Tensor], Any] | None = getattr(self.actor, "layers", None)
        if layers is None:
            return ActorControllers(self.actor, self.normaliser, vector, n)
        return LayeredControllers(self._on_raw_observations(layers(vector)), n)

    def _vector(self, task: str) -> torch.Tensor:
        if self.labelled:
            what = f"The policy is told tasks by their labels, and {task!r} is none that it was trained on."
            refuse_unknown(task, self.told, what, fix="evaluate it on the tasks that it was trained on")
        return torch.from_numpy(require(self.told, task))

    def _on_raw_observations(self, layers: list[tuple[torch.Tensor, torch.Tensor]]) -> Layers:
        """The task's deterministic policy as ReLU layers on raw observations: weights `[in, out]`, biases `[out]`."""
        found = [(weight.numpy().astype(np.float64), bias.numpy().astype(np.float64)) for weight, bias in layers]
        weight = found[0][0] / self.normaliser.scale[:, None]
        found[0] = (weight, found[0][1] - self.normaliser.mean @ weight)
        return [(weight.astype(np.float32), bias.astype(np.float32)) for weight, bias in found]


class ActorControllers(AlikeControllers):
    """Controllers that act as an actor that is told the task, where no plain layers say what it does.

    Args:
        actor: The actor, frozen.
        normaliser: Of observations.
        vector: What tells the task `[E]`.
        n: How many prompts it stands for.
    """

    def __init__(self, actor: nn.Module, normaliser: Normaliser, vector: torch.Tensor, n: int) -> None:
        super().__init__(n)
        self._actor, self._normaliser, self._vector = actor, normaliser, vector[None]

    @torch.inference_mode()
    def act(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """Actions `[slots, act]`; each slot goes through the network by itself, so that it depends on no other."""
        seen = torch.from_numpy(self._normaliser.apply(observations))[:, None, None]
        means = [self._actor(each, self._vector)[0][0, 0] for each in seen]
        return torch.tanh(torch.stack(means)).numpy()
