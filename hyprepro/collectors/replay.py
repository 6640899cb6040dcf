"""The memory of a stack of agents."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyprepro.collectors.update import Batch


class Replay:
    """The last `capacity` transitions of each of A agents, all filled in step.

    Args:
        agents: A.
        capacity: Transitions of each agent.
        observation_size: Numbers of an observation.
        action_size: Numbers of an action.
        device: Where the memory lies.
    """

    def __init__(
        self,
        agents: int,
        capacity: int,
        observation_size: int,
        action_size: int,
        device: torch.device | str = "cpu",
    ) -> None:
        def room(*shape: int) -> Tensor:
            return torch.zeros((capacity, agents, *shape), device=device)

        self.fields = {
            "observations": room(observation_size),
            "actions": room(action_size),
            "rewards": room(),
            "next_observations": room(observation_size),
            "dones": room(),
            "expert_actions": room(action_size),
        }
        self.capacity, self.agents = capacity, agents
        self.added = 0

    def add(self, **transition: NDArray[np.floating[Any]]) -> None:
        """One transition of every agent: each field `[A, ...]`."""
        at = self.added % self.capacity
        for name, field in self.fields.items():
            field[at].copy_(torch.from_numpy(np.asarray(transition[name], dtype=np.float32)))
        self.added += 1

    def sample(self, batch_size: int, rng: np.random.Generator) -> Batch:
        """Uniform transitions with replacement, independently for each agent."""
        rows = rng.integers(min(self.added, self.capacity), size=(self.agents, batch_size))
        return self.rows(torch.from_numpy(rows).to(self.fields["rewards"].device))

    def rows(self, rows: Tensor) -> Batch:
        """The transitions `[A, B]` of the given numbers: row `rows[a, b]` of agent a."""
        flat = (rows * self.agents + torch.arange(self.agents, device=rows.device)[:, None]).view(-1)
        return Batch(
            **{
                name: field.view(-1, *field.shape[2:]).index_select(0, flat).view(*rows.shape, *field.shape[2:])
                for name, field in self.fields.items()
            }
        )

    def state(self) -> dict[str, Tensor]:
        """The filled part, for a checkpoint."""
        filled = min(self.added, self.capacity)
        return {name: field[:filled] for name, field in self.fields.items()}

    def restore(self, state: dict[str, Tensor], added: int) -> None:
        """Put a checkpoint's transitions back."""
        for name, tensor in state.items():
            self.fields[name][: len(tensor)] = tensor
        self.added = added
