"""Many SAC agents at once: stacked networks, one update of all of them, and drawing from their replay.

One update of A agents is a handful of batched matrix products and one fused Adam step per kind of network; agents never
mix. On a GPU an update is some hundred small kernels, each of which takes less time than starting it. So there the
whole update (drawing transitions and noise, temperature, critics, actor, targets, both optimisers) is captured once as
a CUDA graph and replayed; nothing of it waits for the host. Drawing then happens on the GPU, so its numbers differ from
the CPU's.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyprepro.collect.sac.networks import (
    Parameters,
    StackedMLP,
    Weights,
    actor_forward,
    actor_sizes,
    critic_sizes,
    mlp_parameters,
)
from hyprepro.collect.sac.replay import Replay
from hyprepro.collect.sac.update import Adam, Batch, Losses, StackedUpdate
from hyprepro.policies.layout import PolicyLayout

if TYPE_CHECKING:
    from hyprepro.collect.sac.settings import Hyperparameters

_CACHE_BYTES = 2**21
"""Largest activation of a part of the stack on a CPU, so that what a part works on stays in the core's cache."""

_WARM_UP = 3


class Agents(ABC):
    """A agents that act and learn together, whatever their networks are."""

    agents: int
    settings: Hyperparameters
    device: torch.device
    action_size: int

    @abstractmethod
    def act(self, observations: Tensor, noise: Tensor) -> NDArray[np.float32]:
        """Sampled actions `[A, action]` for observations `[A, obs]` and standard normal noise `[A, action]`."""

    @abstractmethod
    def update(self, batch: Batch, noise: Tensor, next_noise: Tensor, train_actor: bool = True) -> dict[str, Tensor]:
        """One update of every agent (see `SACUpdate`); losses by name, each `[A]`."""

    @abstractmethod
    def tensors(self) -> list[Tensor]:
        """All that an update changes: networks, temperatures, moments and step counts of the optimisers."""

    @torch.no_grad()
    def restore(self, tensors: list[Tensor]) -> None:
        """Put a checkpoint's values back in place."""
        for mine, theirs in zip(self.tensors(), tensors, strict=True):
            mine.copy_(theirs)


@dataclass
class Networks:
    """Where a stack of A agents starts, or what it has learned.

    Attributes:
        actor: Parameters `[A, ...]`.
        critic: Parameters `[2 A, ...]`; agent a's two critics are rows 2a and 2a + 1.
        target: The critics' slow copies.
        log_alpha: Logarithm of the temperatures `[A]`.
    """

    actor: Parameters
    critic: Parameters
    target: Parameters
    log_alpha: Tensor

    def fold(self, conditions: Tensor, at: int) -> Networks:
        """A single conditioned agent as one agent for each of `conditions` `[A, k]`, without the inputs for these.

        The first layer's bias becomes b + w c, w being the weights of the k inputs from `at` on; nothing else changes.
        """
        actor, critic, target = (folded(part, conditions, at) for part in (self.actor, self.critic, self.target))
        return Networks(actor, critic, target, self.log_alpha.repeat(len(conditions)))


def folded(parameters: Parameters, conditions: Tensor, at: int) -> Parameters:
    """Parameters of `Networks.fold`, stacked condition by condition."""
    weight, bias = parameters["linear1.weight"], parameters["linear1.bias"]
    out = {name: tensor.repeat(len(conditions), 1, 1) for name, tensor in parameters.items()}
    end = at + conditions.shape[1]
    shift = (weight[None, :, at:end] * conditions[:, None, :, None]).sum(2)
    out["linear1.bias"] = out["linear1.bias"] + shift.reshape(-1, 1, bias.shape[2])
    out["linear1.weight"] = torch.cat((out["linear1.weight"][:, :at], out["linear1.weight"][:, end:]), 1)
    return out


class StackedSAC(Agents):
    """A agents' networks, temperatures and optimisers.

    Args:
        settings: Hyperparameters.
        layout: The actors' layout; critics have the same width.
        agents: A.
        generator: Randomness of the initial weights (a CPU generator).
        actor: Initial actors; `torch.nn.Linear`'s default if None.
        device: Where networks and updates live.

    Attributes:
        actor, critic, target: Parameters by name, views of what is trained, gradients included. Agent a's two critics
            are rows 2a and 2a + 1.
        log_alpha: Logarithm of the temperatures `[A]`.
    """

    def __init__(
        self,
        settings: Hyperparameters,
        layout: PolicyLayout,
        agents: int,
        generator: torch.Generator,
        actor: Parameters | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        start = actor if actor is not None else mlp_parameters(actor_sizes(layout), agents, generator)
        critic = mlp_parameters(critic_sizes(layout), 2 * agents, generator)
        log_alpha = torch.full((agents,), math.log(settings.initial_temperature))
        self._begin(settings, Networks(start, critic, critic, log_alpha), torch.device(device))

    @classmethod
    def of(cls, settings: Hyperparameters, networks: Networks) -> StackedSAC:
        """Agents that start as the given networks, of any sizes, which are copied."""
        found = cls.__new__(cls)
        found._begin(settings, networks, torch.device("cpu"))
        return found

    def _begin(self, settings: Hyperparameters, start: Networks, device: torch.device) -> None:
        self.settings, self.agents, self.device = settings, len(start.log_alpha), device
        self.action_size = start.actor["mean.bias"].shape[2]
        self._actor = Weights(start.actor, ("mean", "log_std"), device)
        self._critic, self._target = (Weights(part, ("value",), device) for part in (start.critic, start.target))
        self.actor, self.critic, self.target = self._actor.named, self._critic.named, self._target.named
        self.log_alpha = start.log_alpha.clone().to(device)
        self.log_alpha.grad = torch.zeros_like(self.log_alpha)
        trained = ([*self._actor.tensors(), self.log_alpha], self._critic.tensors())
        self._moments = [[torch.zeros((2, *tensor.shape), device=device) for tensor in some] for some in trained]
        size = self._part_size()
        bounds = [(low, min(low + size, self.agents)) for low in range(0, self.agents, size)]
        self._parts = [(low, high, self._part(low, high)) for low, high in bounds]

    @property
    def networks(self) -> Networks:
        """Views of what has been learned."""
        return Networks(self.actor, self.critic, self.target, self.log_alpha)

    @property
    def parts(self) -> list[StackedUpdate]:
        """The updates of the parts of the stack, one after the other."""
        return [part for _, _, part in self._parts]

    @torch.inference_mode()
    def act(self, observations: Tensor, noise: Tensor) -> NDArray[np.float32]:
        """See `Agents`; all may also be `[A, B, ...]`, of B environments an agent."""
        shape = (self.agents, -1, observations.shape[-1])
        mean, log_std = actor_forward(self.actor, observations.to(self.device).view(shape))
        actions = torch.tanh(mean + log_std.exp() * noise.to(self.device).view(mean.shape))
        return actions.view(noise.shape).cpu().numpy()

    @torch.no_grad()
    def update(self, batch: Batch, noise: Tensor, next_noise: Tensor, train_actor: bool = True) -> dict[str, Tensor]:
        found = [
            part(batch.part(low, high), noise[low:high], next_noise[low:high], train_actor)
            for low, high, part in self._parts
        ]
        return {name: torch.cat([getattr(losses, name) for losses in found]) for name in Losses._fields}

    def anneal(self, rate: float) -> None:
        """Set the step size of everything."""
        for part in self.parts:
            for optimiser in part.optimisers:
                optimiser.rate = rate

    def tensors(self) -> list[Tensor]:
        weights = [t for each in (self._actor, self._critic, self._target) for t in each.tensors()]
        moments = [t for each in self._moments for t in each]
        steps = [optimiser.steps for part in self.parts for optimiser in part.optimisers]
        return [*weights, self.log_alpha, *moments, *steps]

    def restore(self, tensors: list[Tensor]) -> None:
        super().restore(tensors)
        for part in self.parts:
            for network in part.networks:
                network.refresh()

    def _part_size(self) -> int:
        """Agents that are updated together: all on an accelerator, as many as the cache holds on a CPU."""
        if self.device.type != "cpu":
            return self.agents
        each = 2 * self.critic["linear2.bias"].shape[2] * self.settings.batch_size * 4
        return max(1, min(self.agents, _CACHE_BYTES // each))

    def _part(self, low: int, high: int) -> StackedUpdate:
        """The update of agents `low` to `high`, on views of their tensors."""
        log_alpha, dtype = self.log_alpha[low:high], getattr(torch, self.settings.products)
        log_alpha.grad = None if self.log_alpha.grad is None else self.log_alpha.grad[low:high]
        actor = StackedMLP(self._actor, low, high, 1, dtype)
        critic = StackedMLP(self._critic, 2 * low, 2 * high, 2, dtype)
        target = StackedMLP(self._target, 2 * low, 2 * high, 2, dtype, critic)
        rate, (of_actor, of_critic) = self.settings.learning_rate, self._moments
        optimisers = (
            Adam([*actor.parameters, log_alpha], rate, [moments[:, low:high] for moments in of_actor]),
            Adam(critic.parameters, rate, [moments[:, 2 * low : 2 * high] for moments in of_critic]),
        )
        return StackedUpdate(self.settings, (actor, critic, target), log_alpha, optimisers)


class Learner:
    """Updates agents from their replay: step by step on a CPU, as a captured graph on a GPU.

    Args:
        sac: The agents.
        replay: Their memory, on the same device.
        generator: Randomness of the noise and, on a GPU, of drawing: on the agents' device.
        rng: Randomness of drawing on a CPU.
    """

    def __init__(self, sac: Agents, replay: Replay, generator: torch.Generator, rng: np.random.Generator) -> None:
        self._sac, self._replay, self._generator, self._rng = sac, replay, generator, rng
        self._graphs: dict[bool, torch.cuda.CUDAGraph] = {}
        self._filled = torch.zeros((), device=sac.device)

    def update(self, train_actor: bool = True) -> None:
        """One update of every agent; see `SACUpdate`."""
        if self._sac.device.type == "cpu":
            self._sac.update(self._replay.sample(self._sac.settings.batch_size, self._rng), *self._noise(), train_actor)
            return
        self._filled.fill_(min(self._replay.added, self._replay.capacity))
        if train_actor not in self._graphs:
            self._graphs[train_actor] = self._captured(lambda: self.on_device(train_actor))
        self._graphs[train_actor].replay()

    def on_device(self, train_actor: bool) -> None:
        """What is captured: no number comes back to the host, and no memory is read that is not the same each time."""
        sac, device = self._sac, self._sac.device
        shape = (sac.agents, sac.settings.batch_size)
        draws = torch.rand(shape, generator=self._generator, device=device, dtype=torch.float64)
        batch = self._replay.rows((draws * self._filled).long())
        sac.update(batch, *self._noise(), train_actor)

    def _noise(self) -> tuple[Tensor, Tensor]:
        sac = self._sac
        shape = (2, sac.agents, sac.settings.batch_size, sac.action_size)
        both = torch.randn(shape, generator=self._generator, device=sac.device)
        return both[0], both[1]

    def _captured(self, update: Callable[[], None]) -> torch.cuda.CUDAGraph:
        """The update as a graph; what it needs is warmed up on the agents, which get their values back."""
        kept, state = [tensor.clone() for tensor in self._sac.tensors()], self._generator.get_state()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                update()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        with torch.cuda.graph(graph):
            update()
        self._sac.restore(kept)
        self._generator.set_state(state)
        return graph
