"""The conditioned policy of `hyprepro.methods.cloning`: its pairs of the stores, the network, one training step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hyprepro.engine.training import Descent, device
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.conditions import Conditions, condition
from hyprepro.policies.forward import FUNCTIONS, Weights, unstandardised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hyprepro.gen_hyprl.embedding_net import PromptEmbedding
    from hyprepro.gen_hyprl.neighbours import Parameter, Ranges
    from hyprepro.methods.cloning import ConditionedCloning
    from hyprepro.policies.layout import PolicyLayout
    from hyprepro.stores.files import StoreFiles
    from hyprepro.stores.trajectory_store import Episode

HELD_OUT = 10
"""Every so many pairs one is held out."""


class Pairs(NamedTuple):
    """Observations `[N, obs]`, which of some conditions each was recorded under `[N]`, actions `[N, act]`."""

    observations: Tensor
    rows: Tensor
    actions: Tensor

    @classmethod
    def of(cls, episodes: Sequence[tuple[int, Episode]]) -> Pairs:
        """Of episodes, each with the number of its condition."""
        return cls(
            torch.from_numpy(np.concatenate([episode.observations[:-1] for _, episode in episodes])),
            torch.cat([torch.full((len(episode.actions),), row) for row, episode in episodes]),
            torch.from_numpy(np.concatenate([episode.actions for _, episode in episodes])).clamp(-1.0, 1.0),
        )

    def some(self, rows: Tensor) -> Pairs:
        """Some of them."""
        return Pairs(*(part[rows] for part in self))

    def to(self, where: torch.device) -> Pairs:
        """The same on a device."""
        return Pairs(*(part.to(where) for part in self))


class ConditionedPolicy(nn.Module):
    """The squashed output of an MLP of standardised observation and condition, with the hidden layers of a layout.

    Args:
        layout: The layout of the policies that it folds into.
        condition_size: C, the length of a condition.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, layout: PolicyLayout, condition_size: int) -> None:
        super().__init__()
        self.layout = layout
        self.register_buffer("mean", torch.zeros(layout.observation_size))
        self.register_buffer("deviation", torch.ones(layout.observation_size))
        sizes = (layout.observation_size + condition_size, *layout.widths, layout.action_size)
        self.linears = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        self._functions = [FUNCTIONS[name] for name in layout.nonlinearities]

    def forward(self, observations: Tensor, conditions: Tensor) -> Tensor:
        """Actions `[N, act]` for observations `[N, obs]` and conditions `[N, C]`."""
        x = torch.cat([(observations - self.mean) / self.deviation, conditions], dim=1)
        for linear, function in zip(self.linears, self._functions, strict=True):
            x = function(linear(x))
        return x

    @torch.no_grad()
    def folded(self, conditions: Tensor) -> Tensor:
        """The ordinary policy of each of some conditions `[n, C]`, `[n, P]`; its log-std head is zero."""
        n, size = len(conditions), self.layout.observation_size
        weights: Weights = {
            f"{name}.{kind}": getattr(linear, kind)[None]
            for name, linear in zip(self.layout.linears, self.linears, strict=True)
            for kind in ("weight", "bias")
        }
        first = weights["linear1.weight"]
        weights["linear1.weight"] = first[:, :, :size]
        weights["linear1.bias"] = weights["linear1.bias"] + conditions @ first[0, :, size:].mT
        parts = unstandardised(weights, self.mean[None, None], self.deviation[None, None])
        every = [parts.get(spec.name, torch.zeros(1, *spec.shape)).flatten(1) for spec in self.layout.layers]
        return torch.cat([part.expand(n, -1) for part in every], dim=1)


@dataclass(frozen=True)
class TrainedCloning:
    """Conditions in, policies out.

    Attributes:
        policy: The trained network.
        conditions: Makes (h, v) of a query.
    """

    policy: ConditionedPolicy
    conditions: Conditions


class CloningJob(Descent["ConditionedCloning", ConditionedPolicy]):
    """Steps on the mean squared error of actions.

    Args:
        settings: The method's settings.
        layout: The layout of the policies.
        pairs: All pairs.
        conditions: The conditions that they were recorded under `[M, C]`.
    """

    def __init__(self, settings: ConditionedCloning, layout: PolicyLayout, pairs: Pairs, conditions: Tensor) -> None:
        shape = {"layout": layout.to_json(), "condition": conditions.shape[1]}
        super().__init__(settings, ConditionedPolicy(layout, conditions.shape[1]), shape)
        held_out = torch.arange(len(pairs.observations)) % HELD_OUT == HELD_OUT - 1
        self._pairs, self._held_out = pairs.some(~held_out).to(device()), pairs.some(held_out).to(device())
        self._conditions = conditions.to(device())
        seen = self._pairs.observations
        self.network.mean.copy_(seen.mean(0))
        self.network.deviation.copy_(seen.std(0, correction=0).clamp_min(settings.deviation_floor))

    def losses(self) -> Mapping[str, Tensor]:
        """The error on a batch, drawn with repetition."""
        count = len(self._pairs.observations)
        rows = torch.randint(count, (min(self.settings.batch_size, count),)).to(self._pairs.actions.device)
        pairs = self._pairs.some(rows)
        noise = self.settings.input_noise * torch.randn(pairs.observations.shape)
        shaken = pairs.observations + noise.to(pairs.observations.device) * self.network.deviation
        return {"loss": self._error(pairs._replace(observations=shaken))}

    def validate(self) -> dict[str, float]:
        """The error on held-out pairs."""
        return {"validation_error": float(self._error(self._held_out))}

    def _error(self, pairs: Pairs) -> Tensor:
        acted = self.network(pairs.observations, self._conditions[pairs.rows])
        error: Tensor = (acted - pairs.actions).square().mean()
        return error


def task_pairs(
    episodes: Sequence[tuple[int, Episode]], parameters: Sequence[Parameter], ranges: Ranges
) -> tuple[Pairs, Tensor]:
    """All pairs in episodes of tasks that are told by numbers, and the tasks' conditions `[M, k]`.

    Args:
        episodes: Each with the number of its task.
        parameters: The numbers of each task.
        ranges: The range of each number.
    """
    return Pairs.of(episodes), condition(torch.tensor(parameters), ranges)[0]


def task_episodes(data: StoreFiles, episodes: str) -> list[tuple[int, Episode]]:
    """The stored episodes of training tasks that are told by numbers, each with the number of its task.

    Args:
        data: The stores; the policy store says what the training tasks are.
        episodes: "expert" (split validation), "offline" (split train) or "both".

    Raises:
        UserError: A training task has no such episode.
    """
    splits = {"expert": ["validation"], "offline": ["train"]}.get(episodes, ["validation", "train"])
    found: list[tuple[int, Episode]] = []
    with data.open_policies() as policies, data.open_trajectories() as store:
        for row, task in enumerate(policies.training_tasks()):
            own = [episode for split in splits for episode in store.episodes(task, split)]
            if not own:
                raise UserError(
                    f"The store has no episode of {task} in the split {' or '.join(splits)}.",
                    where=store.where,
                    fix=f"hyprepro store info {store.where}",
                )
            found += [(row, episode) for episode in own]
    return found


def prompt_pairs(data: StoreFiles, embedding: PromptEmbedding) -> tuple[Pairs, Tensor]:
    """All pairs in the episodes that the training prompts are cut from, and the prompts' embeddings `[M, 2E]`."""
    found, conditions = prompt_episodes(data, embedding)
    return Pairs.of(found), conditions


def prompt_episodes(data: StoreFiles, embedding: PromptEmbedding) -> tuple[list[tuple[int, Episode]], Tensor]:
    """The same episodes, each with the number of its prompt, and the prompts' embeddings `[M, 2E]`."""
    from hyprepro.methods.retrieval import training_prompts

    found: list[tuple[int, Episode]] = []
    conditions: list[Tensor] = []
    with data.open_policies() as policies, data.open_trajectories() as store, torch.no_grad():
        for prompts in training_prompts(data, policies):
            first = len(found)
            found += [(first + n, each) for n, each in enumerate(store.some(prompts.task, prompts.episode_ids))]
            embedded = embedding.embed(torch.from_numpy(prompts.tau), torch.from_numpy(prompts.tau_hat))
            conditions.append(torch.cat(embedded, dim=1))
    return found, torch.cat(conditions)
