"""The stage in which each task's own SAC goes on: one agent a task, all stacked.

On the route "parent" an agent starts as the parent folded at its task, actor and critics alike, so that nothing has to
be learned again before it can improve. Half of each batch is the agent's own transitions; the other half may come from
the other agents of the stack and from the parent, with the rewards that they earn at this agent's task, if they do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyprepro.collect.parameter.loop import ROUNDING, ParameterLoop, fresh
from hyprepro.collect.parameter.memory import Memory, Transitions
from hyprepro.collect.parameter.parent import Parent, TrainParent, conditions
from hyprepro.collect.parameter.settings import ExpertTraining
from hyprepro.collect.sac.agents import StackedSAC
from hyprepro.collect.sac.checkpoint import PREFIX, Flushes, open_mapped
from hyprepro.collect.sac.loop import Observations
from hyprepro.collect.sac.networks import to_flat
from hyprepro.collect.sac.update import Batch
from hyprepro.domains.parameter import ParameterDomain
from hyprepro.engine.stage import Report, Stage, link_or_copy

_SHOWN = 6  # tasks whose return the progress shows
_POLICIES, _MARKS = "policies.npy", "marks.npy"


class Experts(NamedTuple):
    """Flat policies `[K, A, P]` after `updates` `[K]` and `steps` `[K]` of each agent, parent's not counted.

    The first is where the run started. Policies are mapped from a file, so that hundreds of them take no memory.
    """

    params: NDArray[np.float32]
    updates: NDArray[np.int64]
    steps: NDArray[np.int64]


@dataclass(frozen=True)
class TrainExperts(Stage):
    """SAC of some tasks' agents, all stepped and updated together."""

    kind: ClassVar[str] = "parameter-experts"
    domain: ParameterDomain
    parent: TrainParent | None
    training: ExpertTraining
    tasks: tuple[str, ...]
    seed: int

    @property
    def label(self) -> str:
        """Which tasks."""
        return f"{len(self.tasks)} experts, {self.tasks[0]} to {self.tasks[-1]}"

    @property
    def cost(self) -> float:
        """At about 250 agent-updates a second."""
        return len(self.tasks) * self.training.updates / 250.0

    @property
    def rounds(self) -> int:
        """Rounds of episodes until all updates are done."""
        per_round = self.training.updates_per_step * self.domain.horizon
        return self.training.first_rounds + math.ceil(self.training.updates / per_round - ROUNDING)

    @property
    def checkpoints(self) -> list[int]:
        """Updates after which policies are kept: the start, then those of the schedule."""
        training = self.training
        return sorted({0, *range(training.checkpoints_from, training.updates + 1, training.checkpoint_every)})

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write policies.npy and marks.npy."""
        parent = self.parent.load(inputs["parent"]) if self.parent is not None else None
        run = _Run(self, parent, work, report)
        run.train()
        np.save(work / _MARKS, np.array(run.marks, dtype=np.int64).T)
        run.kept.flush()
        link_or_copy(work / f"{PREFIX}{_POLICIES}", work / _POLICIES)

    def load(self, path: Path) -> Experts:
        """All kept policies."""
        return Experts(np.load(path / _POLICIES, mmap_mode="r"), *np.load(path / _MARKS))


class _Run(ParameterLoop[ExpertTraining]):
    """The experts' own part of the training loop: each environment at its agent's task, shared transitions."""

    stream = "experts"
    files = (f"{PREFIX}{_POLICIES}",)

    def __init__(self, stage: TrainExperts, parent: Parent | None, work: Path, report: Report) -> None:
        domain, self.tasks, training, self.parent = stage.domain, stage.tasks, stage.training, parent
        every, count = [domain.parameter(task) for task in stage.tasks], len(stage.tasks)
        seed = (stage.seed, *(seed_word(number) for each in every for number in each))
        super().__init__(domain, work, report, training, count, stage.rounds, seed, training.updates_per_step)
        self.known, size = torch.tensor(every, dtype=torch.float32), self.layout.observation_size
        if parent is None:
            start = fresh(domain, size, training.sac, count, self.generator)
        else:
            start = parent.networks.fold(conditions(domain, stage.tasks), size)
            self.use(parent.normaliser)
        self.sac = StackedSAC.of(training.sac, start)
        self.sources = self._sources(stage)
        self.due = stage.checkpoints
        shape = (len(self.due), count, self.layout.size)
        self.kept = open_mapped(work / f"{PREFIX}{_POLICIES}", shape, self.checkpoints.is_new)
        self.marks: list[list[int]] = []
        self.reported = 0

    def _sources(self, stage: TrainExperts) -> tuple[str, ...]:
        """Where the parts of a batch come from."""
        others = {"none": (), "experts": ("experts",), "parent": ("parent",), "all": ("experts", "parent")}
        if self.parent is not None and stage.parent is not None:
            rounds, count = stage.parent.rounds, stage.parent.training.environments
            self.parents_memory = Memory(stage.domain, self.parent.episodes, rounds, count)
        return ("own", *others[stage.training.shared(stage.domain.relabels)])

    def mapped(self) -> list[Flushes]:
        """The kept policies too."""
        return [*super().mapped(), self.kept]

    def targets(self) -> tuple[str, ...]:
        """Each agent's own task."""
        return self.tasks

    def inputs(self, observations: Observations, parameters: NDArray[np.float32]) -> Tensor:
        """`[A, 1, obs]`."""
        return self.normalise(torch.from_numpy(observations))[:, None]

    def explore(self, observations: Observations, is_first: bool) -> NDArray[np.float32]:
        """On the route "parent" the policy acts from the first step on."""
        return super().explore(observations, is_first and self.parent is None)

    def fits_normaliser(self) -> bool:
        """The parent's coordinates are kept."""
        return self.parent is None

    def batches(self, count: int) -> list[Batch]:
        """Half of each batch the agent's own transitions, the rest in equal parts from the shared sources."""
        return [self._batch() for _ in range(count)]

    def _batch(self) -> Batch:
        size, shared = self.settings.sac.batch_size, len(self.sources) - 1
        others = [size // 2 // shared] * shared if shared else []
        parts = [self._draw(s, n) for s, n in zip(self.sources, (size - sum(others), *others), strict=True)]
        found = Transitions(*(torch.cat(tensors, 1) for tensors in zip(*parts, strict=True)))
        parameters = self.known[:, None].expand(*found.signals.shape, -1)
        now, after = self.normalise(found.observations), self.normalise(found.next_observations)
        return Batch(now, found.actions, self.rewards(found, parameters), after, found.ended)

    def _draw(self, source: str, count: int) -> Transitions:
        """`count` transitions for each agent `[A, count]`."""
        shape = (self.environments, count)
        memory = self.parents_memory if source == "parent" else self.memory
        if source != "own":
            steps = self.steps if memory is self.memory else memory.rounds * memory.horizon
            filled = steps * memory.environments
            return memory.gather(torch.randint(filled, shape, generator=self.generator))
        times = torch.randint(self.steps, shape, generator=self.generator)
        return memory.gather(times * self.environments + torch.arange(self.environments)[:, None])

    def after_updates(self) -> None:
        """Keep the policies that are due, and tell how the last round went."""
        while len(self.marks) < len(self.due) and self.updates >= self.due[len(self.marks)]:
            self.kept[len(self.marks)] = to_flat(self.sac.actor, self.layout, self.normaliser)
            self.marks.append([self.due[len(self.marks)], self.steps])
        if self.episode > self.reported or self.updates >= self.settings.updates:
            self._report()

    def _report(self) -> None:
        """What the last whole round earned, exploration noise included: a return, or several where episodes ended."""
        self.reported = self.episode
        fields, last = self.memory.fields, self.episode - 1
        actions, signals, told = (torch.from_numpy(fields[name][last]) for name in ("actions", "signals", "parameters"))
        totals = torch.as_tensor(self.domain.rewards(signals, actions, told)).sum(0).tolist()
        some = slice(None, None, -(-len(totals) // _SHOWN))
        self.report.progress(
            self.updates,
            self.settings.updates,
            episode_return=float(np.mean(totals)),
            **{f"at_{task}": r for task, r in zip(self.tasks[some], totals[some], strict=True)},
        )

    def state(self) -> dict[str, Any]:
        """See `Loop`; the policies themselves are in their file."""
        return {**super().state(), "marks": self.marks}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.marks = state["marks"]


def seed_word(number: float) -> int:
    """A number of a parameter as a word of a seed, which has no sign."""
    return round(1000 * number) % 2**32
