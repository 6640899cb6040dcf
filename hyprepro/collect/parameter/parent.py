"""The stage that trains the conditioned parent: one SAC agent that is told the task's numbers.

Where a transition earns a reward at every parameter, each batch is partly relabelled with random training tasks. The
parent never steps, nor is relabelled with, a task outside its list.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from hyprepro.collect.parameter.loop import ROUNDING, ParameterLoop, condition, fresh, start_seed
from hyprepro.collect.parameter.rollouts import returns
from hyprepro.collect.parameter.settings import ParentTraining
from hyprepro.collect.sac.agents import Networks, StackedSAC, folded
from hyprepro.collect.sac.loop import Observations
from hyprepro.collect.sac.networks import Normaliser, Parameters, to_flat
from hyprepro.collect.sac.update import Batch
from hyprepro.domains.parameter import ParameterDomain
from hyprepro.engine.stage import Report, Stage

SHOWN = 10
"""Tasks at which the parent is evaluated while it trains."""

_RELABELLED = 0.5
"""Share of a batch, where a step earns a reward at every parameter and the settings leave it open."""

_EVALUATION_SEED = start_seed("evaluation", 0)


class Curve(NamedTuple):
    """Returns `[k, t]` of the deterministic policy after `updates` and `steps` `[k]`, at the `parameters` `[t, d]`."""

    updates: NDArray[np.int64]
    steps: NDArray[np.int64]
    parameters: NDArray[np.float64]
    returns: NDArray[np.float64]


class Parent(NamedTuple):
    """A trained parent: its networks, the coordinates of its observations, its early and late actors, its curve.

    `kept` holds the actors after `kept_updates` `[K]`, stacked; `episodes` is the folder of its transitions.
    """

    domain: ParameterDomain
    networks: Networks
    normaliser: Normaliser
    kept: Parameters
    kept_updates: NDArray[np.int64]
    curve: Curve
    episodes: Path

    told: bool

    def policies(self, task: str) -> NDArray[np.float32]:
        """The kept actors folded at a task: flat policies `[K, P]`."""
        return self._folded(self.kept, task)

    def policy(self, task: str) -> NDArray[np.float32]:
        """The final actor folded at a task: a flat policy `[P]`."""
        flat: NDArray[np.float32] = self._folded(self.networks.actor, task)[0]
        return flat

    def _folded(self, actors: Parameters, task: str) -> NDArray[np.float32]:
        return fold_actors(self.domain, actors, [task] if self.told else [], self.normaliser)


def conditions(domain: ParameterDomain, tasks: Sequence[str]) -> Tensor:
    """What stands for some tasks among an actor's inputs `[n, k]`."""
    told = np.array([domain.parameter(task) for task in tasks])
    return torch.tensor(condition(domain, told), dtype=torch.float32)


def fold_actors(
    domain: ParameterDomain, actors: Parameters, told: Sequence[str], normaliser: Normaliser
) -> NDArray[np.float32]:
    """Actors, stacked `[K, ...]`, as flat policies `[K, P]` of the task that they are told, for raw observations."""
    at = domain.layout.observation_size
    plain = folded(actors, conditions(domain, told), at) if told else actors
    return to_flat(plain, domain.layout, normaliser)


@dataclass(frozen=True)
class TrainParent(Stage):
    """SAC of the conditioned agent on its training tasks."""

    kind: ClassVar[str] = "parameter-parent"
    domain: ParameterDomain
    training: ParentTraining
    tasks: tuple[str, ...]
    seed: int

    @property
    def label(self) -> str:
        """On how many tasks."""
        return f"{'parent of' if self.training.told else 'one policy for'} {len(self.tasks)} {self.domain.many}"

    @property
    def cost(self) -> float:
        """At about 250 updates a second."""
        return self.training.updates / 250.0

    @property
    def rounds(self) -> int:
        """Rounds of episodes until all updates are done."""
        per_round = self.training.updates_per_step * self.training.environments * self.domain.horizon
        return self.training.first_rounds + math.ceil(self.training.updates / per_round - ROUNDING)

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write parent.safetensors and the transitions."""
        run = _Run(self, work, report)
        run.train()
        tensors = {name: t.clone(memory_format=torch.contiguous_format) for name, t in run.result().items()}
        save_file(tensors, work / "parent.safetensors")
        run.memory.finish(work)

    def load(self, path: Path) -> Parent:
        """The parent."""
        data = load_file(path / "parent.safetensors")

        def part(prefix: str) -> Parameters:
            return {name.removeprefix(prefix): t for name, t in data.items() if name.startswith(prefix)}

        return Parent(
            self.domain,
            Networks(part("actor."), part("critic."), part("target."), data["log_alpha"]),
            Normaliser(data["mean"].numpy(), data["scale"].numpy()),
            part("kept."),
            data["kept_updates"].numpy(),
            Curve(*(data[f"curve.{name}"].numpy() for name in Curve._fields)),
            path,
            self.training.told,
        )


class _Run(ParameterLoop[ParentTraining]):
    """The parent's own part of the training loop: random training tasks, relabelling, evaluation."""

    stream = "parent"

    def __init__(self, stage: TrainParent, work: Path, report: Report) -> None:
        settings = stage.training
        count, rate = settings.environments, settings.updates_per_step * settings.environments
        super().__init__(stage.domain, work, report, settings, count, stage.rounds, stage.seed, rate)
        self.tasks, every = stage.tasks, [stage.domain.parameter(task) for task in stage.tasks]
        self.known = torch.tensor(every, dtype=torch.float32)
        usual = _RELABELLED if stage.domain.relabels else 0.0
        self.relabelled: float = usual if settings.relabelled is None else settings.relabelled
        spread = np.unique(np.linspace(0, len(every) - 1, SHOWN).round().astype(int))
        self.shown = [stage.tasks[place] for place in spread]
        share = np.linspace(0, 1, settings.checkpoints) ** 2
        self.keep_at = np.unique((share * settings.updates).round().astype(int)).tolist()
        self.kept: list[Parameters] = []
        self.curve: list[list[float]] = []
        self.told = settings.told
        inputs = self.layout.observation_size + self.told * self.known.shape[1]
        self.sac = StackedSAC.of(settings.sac, fresh(stage.domain, inputs, settings.sac, 1, self.generator))

    def targets(self) -> list[str]:
        """A random training task for each environment's next round."""
        return [self.tasks[i] for i in self.rng.integers(len(self.tasks), size=self.environments)]

    def inputs(self, observations: Observations, parameters: NDArray[np.float32]) -> Tensor:
        """`[1, n, obs + k]`."""
        return self._shown(torch.from_numpy(observations), torch.from_numpy(parameters))[None]

    def _shown(self, observations: Tensor, parameters: Tensor) -> Tensor:
        """Observations `[..., obs]` in the networks' coordinates and, where it is told, the condition behind them."""
        known = self.normalise(observations)
        return torch.cat((known, condition(self.domain, parameters)), -1) if self.told else known

    def batches(self, count: int) -> list[Batch]:
        """`count` batches of uniform transitions, partly relabelled."""
        shape = (count, self.settings.sac.batch_size)
        found = self.memory.gather(torch.randint(self.steps * self.environments, shape, generator=self.generator))
        chosen = self.known[torch.randint(len(self.known), shape, generator=self.generator)]
        relabelled = torch.rand(shape, generator=self.generator) < self.relabelled
        parameters = torch.where(relabelled[..., None], chosen, found.parameters)
        now, after = (self._shown(o, parameters) for o in (found.observations, found.next_observations))
        parts = (now, found.actions, self.rewards(found, parameters), after, found.ended)
        return [Batch(*(part[i : i + 1] for part in parts)) for i in range(count)]

    def after_updates(self) -> None:
        """Keep what is to be kept, evaluate what is to be shown."""
        while len(self.kept) < len(self.keep_at) and self.updates >= self.keep_at[len(self.kept)]:
            self.kept.append({name: t.clone() for name, t in self.sac.actor.items()})
        if self.updates >= len(self.curve) * self.settings.report_every or self.updates >= self.settings.updates:
            self._evaluate()

    def _evaluate(self) -> None:
        actor = self.sac.actor
        told = [[task] if self.told else [] for task in self.shown]
        policies = np.concatenate([fold_actors(self.domain, actor, each, self.normaliser) for each in told])
        found = returns(self.domain, self.layout, policies, self.shown, [_EVALUATION_SEED])[:, 0]
        self.curve.append([self.updates, self.steps * self.environments, *found.tolist()])
        self.report.progress(
            min(self.updates, self.settings.updates),
            self.settings.updates,
            episode_return=float(found.mean()),
            temperature=float(self.sac.log_alpha.exp()),
            **{f"at_{task}": float(r) for task, r in zip(self.shown, found, strict=True)},
        )

    def state(self) -> dict[str, Any]:
        return {**super().state(), "kept": self.kept, "curve": self.curve}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.kept, self.curve = state["kept"], state["curve"]

    def result(self) -> dict[str, Tensor]:
        """The artifact's tensors."""
        curve = np.array(self.curve)
        tensors = {
            f"{group}.{name}": tensor
            for group in ("actor", "critic", "target")
            for name, tensor in getattr(self.sac, group).items()
        }
        tensors |= {f"kept.{name}": torch.cat([kept[name] for kept in self.kept]) for name in self.kept[0]}
        return {
            **tensors,
            "log_alpha": self.sac.log_alpha,
            "mean": torch.from_numpy(self.normaliser.mean),
            "scale": torch.from_numpy(self.normaliser.scale),
            "kept_updates": torch.tensor(self.keep_at),
            "curve.updates": torch.from_numpy(curve[:, 0].astype(np.int64)),
            "curve.steps": torch.from_numpy(curve[:, 1].astype(np.int64)),
            "curve.parameters": torch.tensor([self.domain.parameter(t) for t in self.shown], dtype=torch.float64),
            "curve.returns": torch.from_numpy(curve[:, 2:].copy()),
        }
