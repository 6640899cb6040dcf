"""The networks of `hyprepro.methods.hypernetwork`: the encoder, what acts with written weights, one training step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from hyprepro.engine.training import Descent, device
from hyprepro.gen_hyprl.conditions import condition
from hyprepro.methods.cloning_net import HELD_OUT, prompt_episodes
from hyprepro.policies.forward import FUNCTIONS

if TYPE_CHECKING:
    from hyprepro.domains.base import Query
    from hyprepro.gen_hyprl.conditions import Conditions
    from hyprepro.gen_hyprl.embedding_net import PromptEmbedding
    from hyprepro.methods.hypernetwork import Sizes, TrainHypernetwork, WritingMethod
    from hyprepro.policies.layout import Activation, PolicyLayout, Squash
    from hyprepro.stores.trajectory_store import Episode

Layers = Sequence[tuple[Tensor, Tensor]]
"""Written layers: weight `[C, outputs, inputs]` and bias `[C, outputs]` of each, for C conditions."""

VALIDATED = 20
"""Held-out steps of each condition that an error is told on, at most."""


class Steps(NamedTuple):
    """Steps of episodes, those of one condition together.

    Attributes:
        observations: `[N, obs]`.
        actions: `[N, act]` in [-1, 1].
        rewards: `[N]`.
        following: The next observations `[N, obs]`.
        values: What the expert's action is worth `[N]`.
        rows: Which of some conditions each was recorded under `[N]`, ascending.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    following: Tensor
    values: Tensor
    rows: Tensor

    @classmethod
    def of(cls, episodes: Sequence[tuple[int, Episode]], discount: float) -> Steps:
        """Of episodes, each with the number of its condition."""
        ordered = sorted(episodes, key=lambda each: each[0])
        parts = [
            (
                each.observations[:-1],
                np.clip(each.actions, -1.0, 1.0),
                each.rewards,
                each.observations[1:],
                action_values(each.rewards, discount, each.terminated),
                np.full(len(each.actions), row),
            )
            for row, each in ordered
        ]
        return cls(*(torch.from_numpy(np.concatenate(column)) for column in zip(*parts, strict=True)))

    def some(self, index: Tensor) -> Steps:
        """Some of them, of the shape of the index."""
        return Steps(*(part[index] for part in self))

    def to(self, where: torch.device) -> Steps:
        """The same on a device."""
        return Steps(*(part.to(where) for part in self))


def action_values(rewards: NDArray[np.float32], discount: float, terminated: bool) -> NDArray[np.float32]:
    """The discounted sum of rewards from each step of an episode on `[T]`.

    Args:
        rewards: `[T]`.
        discount: A step's.
        terminated: Whether the environment ended the episode. If not, the mean reward of its second half is taken to
            go on for ever.
    """
    after = 0.0 if terminated else float(rewards[len(rewards) // 2 :].mean()) / (1 - discount)
    values = np.empty(len(rewards), dtype=np.float32)
    for step in reversed(range(len(rewards))):
        after = float(rewards[step]) + discount * after
        values[step] = after
    return values


class ResidualBlock(nn.Module):
    """x -> x + L(relu(L(relu(x)))).

    Args:
        size: Width.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:
        """`[C, size]` -> `[C, size]`."""
        inner: Tensor = self.second(torch.relu(self.first(torch.relu(x))))
        return x + inner


class ConditionEncoder(nn.Sequential):
    """Condition `[C, k]` -> z `[C, size]`: through size/4, size/2 and size, with two residual blocks at each width.

    HyperZero's, and HyPoGen's as well. Weights begin uniform within half of torch's usual bound.

    Args:
        inputs: k.
        size: Width of z.
    """

    def __init__(self, inputs: int, size: int) -> None:
        layers: list[nn.Module] = []
        for before, after in pairwise((inputs, size // 4, size // 2, size)):
            layers += [nn.Linear(before, after), ResidualBlock(after), ResidualBlock(after)]
        super().__init__(*layers)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                bound = 0.5 / module.in_features**0.5
                nn.init.uniform_(module.weight, -bound, bound)


class Hypernetwork(nn.Module):
    """Writes a policy for a condition, and with it a critic.

    Args:
        layout: The layout of the policies.
        encoder: Conditions `[C, k]` -> z.
        policies: z -> the layers of policies.
        critics: z -> the layers of critics (s, a) -> Q with ReLUs; None: none are written.
    """

    def __init__(
        self, layout: PolicyLayout, encoder: nn.Module, policies: nn.Module, critics: nn.Module | None
    ) -> None:
        super().__init__()
        self.layout = layout
        self.encoder, self.policies, self.critics = encoder, policies, critics
        self.kept_looks: list[Hypernetwork] = []
        self.looks = nn.ModuleList()

    def with_looks(self, count: int) -> Hypernetwork:
        """Itself, with so many copies of what writes policies, which `look` overwrites; they are not trained."""
        self.kept_looks = [
            Hypernetwork(self.layout, deepcopy(self.encoder), deepcopy(self.policies), None) for _ in range(count)
        ]
        self.looks = nn.ModuleList(self.kept_looks).requires_grad_(False)
        return self

    def look(self, number: int) -> None:
        """Keep what writes policies now as the look of this number."""
        kept = self.kept_looks[number]
        for part, source in ((kept.encoder, self.encoder), (kept.policies, self.policies)):
            part.load_state_dict(source.state_dict())

    def write(self, conditions: Tensor) -> tuple[Layers, Layers | None]:
        """The policy and the critic of each condition `[C, k]`."""
        z = self.encoder(conditions)
        return self.policies(z), None if self.critics is None else self.critics(z)

    def act(self, policy: Layers, observations: Tensor) -> Tensor:
        """Actions `[C, b, act]` of written policies in states `[C, b, obs]`."""
        return through(policy, observations, self.layout.nonlinearities)

    def value(self, critic: Layers, observations: Tensor, actions: Tensor) -> Tensor:
        """What written critics say of actions `[C, b]`."""
        x = torch.cat([observations, actions], dim=-1)
        return through(critic, x, [_RELU] * (len(critic) - 1))[..., 0]

    @torch.no_grad()
    def flat(self, conditions: Tensor) -> Tensor:
        """The policy of each condition as flat parameters `[C, P]`; the log-std head is zero."""
        layers = dict(zip(self.layout.linears, self.policies(self.encoder(conditions)), strict=True))
        parts = {
            f"{name}.{kind}": part for name, pair in layers.items() for kind, part in zip(_KINDS, pair, strict=True)
        }
        shape = len(conditions)
        every = [parts.get(spec.name, conditions.new_zeros(shape, *spec.shape)) for spec in self.layout.layers]
        return torch.cat([part.reshape(shape, -1) for part in every], dim=1)


_KINDS = ("weight", "bias")
_RELU: Activation = "relu"


def through(layers: Layers, x: Tensor, functions: Sequence[Activation | Squash]) -> Tensor:
    """Inputs `[C, b, inputs]` through written layers, with what follows each of them; nothing follows further ones."""
    for number, (weight, bias) in enumerate(layers):
        x = torch.baddbmm(bias.unsqueeze(1), x, weight.mT)
        if number < len(functions):
            x = FUNCTIONS[functions[number]](x)
    return x


def policy_sizes(layout: PolicyLayout) -> Sizes:
    """Sizes of a policy's MLP."""
    return layout.observation_size, *layout.widths, layout.action_size


def critic_sizes(layout: PolicyLayout) -> Sizes:
    """Sizes of the critic's beside it."""
    return layout.observation_size + layout.action_size, *layout.widths, 1


@dataclass(frozen=True)
class TrainedHypernetwork:
    """Conditions in, policies out.

    Attributes:
        network: The trained network.
        conditions: Makes (h, v) of a query.
        standardised: Whether numbers are standardised.
    """

    network: Hypernetwork
    conditions: Conditions
    standardised: bool

    def policies(self, query: Query) -> Tensor:
        """The policy of each prompt, or of a task's numbers so many times `[n, P]`."""
        if self.conditions.embedding is None and not self.standardised:
            return self.network.flat(torch.tensor([query.parameter])).expand(query.n, -1)
        return self.network.flat(torch.cat(self.conditions.of(query), dim=1))

    def looks(self, query: Query) -> Tensor:
        """The policy of a task's numbers by each look, from the first `[looks, P]`."""
        each = (replace(self, network=look) for look in self.network.kept_looks)
        return torch.cat([look.policies(query._replace(n=1)) for look in each])


class HypernetworkJob(Descent["WritingMethod", Hypernetwork]):
    """Steps on the errors of actions, of values, and of values across a step.

    Args:
        settings: The method's settings.
        layout: The layout of the policies.
        steps: All steps; every tenth is held out.
        conditions: The conditions that they were recorded under `[M, k]`.
        valued: Whether critics are written.
    """

    def __init__(
        self, settings: WritingMethod, layout: PolicyLayout, steps: Steps, conditions: Tensor, valued: bool
    ) -> None:
        shape = {"layout": layout.to_json(), "condition": conditions.shape[1], "valued": valued}
        network = settings.network(layout, conditions.shape[1], valued).with_looks(settings.looks)
        super().__init__(settings, network, shape)
        held_out = torch.arange(len(steps.rows)) % HELD_OUT == HELD_OUT - 1
        self._steps, self._held_out = (_Grouped.of(steps.some(some), len(conditions)) for some in (~held_out, held_out))
        self._conditions = conditions.to(device())

    def step(self, step: int) -> Mapping[str, Tensor]:
        """Descend, and keep a look where one is due."""
        losses = super().step(step)
        for number in range(self.settings.looks):
            if step + 1 == round((number + 1) * self.settings.steps / self.settings.looks):
                self.network.look(number)
        return losses

    def losses(self) -> Mapping[str, Tensor]:
        """The errors on a batch: equally many samples of each of some conditions, drawn with repetition."""
        settings, network = self.settings, self.network
        tasks = self._steps.present
        tasks = tasks[torch.randperm(len(tasks))[: settings.tasks_at_once]]
        count = max(1, round(settings.batch_size / len(tasks)))
        steps = self._steps.drawn(tasks, torch.rand(len(tasks), count))
        policy, critic = network.write(self._conditions[tasks.to(self._conditions.device)])
        loss = action_error = functional.mse_loss(network.act(policy, steps.observations), steps.actions)
        found = {"action_error": action_error}
        if critic is not None:
            value = network.value(critic, steps.observations, steps.actions)
            with torch.no_grad():
                next_action = network.act(policy, steps.following)
            target = steps.rewards + settings.td_discount * network.value(critic, steps.following, next_action)
            found["value_error"] = functional.mse_loss(value, steps.values)
            found["td_error"] = functional.mse_loss(steps.values, target)
            loss = loss + settings.value_weight * found["value_error"] + settings.td_weight * found["td_error"]
        return {"loss": loss, **found}

    def validate(self) -> dict[str, float]:
        """The error of actions on held-out steps."""
        errors = []
        for tasks in torch.split(self._held_out.present, self.settings.tasks_at_once):
            steps = self._held_out.drawn(tasks, torch.linspace(0, 1, VALIDATED + 1)[:-1].expand(len(tasks), -1))
            policy, _ = self.network.write(self._conditions[tasks.to(self._conditions.device)])
            errors.append((self.network.act(policy, steps.observations) - steps.actions).square().mean((1, 2)))
        return {"validation_error": float(torch.cat(errors).mean().detach())}


class _Grouped(NamedTuple):
    """Steps by condition: where those of each begin `[M]`, and how many there are `[M]`."""

    steps: Steps
    first: Tensor
    counts: Tensor

    @classmethod
    def of(cls, steps: Steps, conditions: int) -> _Grouped:
        counts = torch.bincount(steps.rows, minlength=conditions)
        return cls(steps.to(device()), counts.cumsum(0) - counts, counts)

    @property
    def present(self) -> Tensor:
        """The conditions that have steps."""
        return self.counts.nonzero()[:, 0]

    def drawn(self, tasks: Tensor, share: Tensor) -> Steps:
        """Of each of some conditions `[C]` the steps so far on, `share` in [0, 1) of all of its own `[C, b]`."""
        index = self.first[tasks, None] + (share * self.counts[tasks, None]).long()
        return self.steps.some(index.to(self.steps.rows.device))


def steps_of_tasks(stage: TrainHypernetwork, episodes: Sequence[tuple[int, Episode]]) -> tuple[Steps, Tensor]:
    """All steps of episodes of training tasks that are told by numbers, and the tasks' conditions `[M, k]`."""
    parameters = torch.tensor(stage.parameters)
    conditions = condition(parameters, stage.ranges)[0] if stage.model.standardised else parameters
    return Steps.of(episodes, stage.model.discount), conditions


def steps_of_prompts(stage: TrainHypernetwork, embedding: PromptEmbedding) -> tuple[Steps, Tensor]:
    """All steps of the episodes that the training prompts are cut from, and the prompts' embeddings `[M, 2E]`."""
    found, conditions = prompt_episodes(stage.stores, embedding)
    return Steps.of(found, stage.model.discount), conditions
