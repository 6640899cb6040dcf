"""The stage that trains the velocity-conditioned parent: one SAC agent that is told its target velocity.

A transition earns a reward at every velocity, so each batch is partly relabelled with random training velocities. The
parent never steps, nor is relabelled with, a velocity outside its list.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from hyprepro.collect.parameter.loop import ROUNDING, VelocityLoop, fresh, start_seed
from hyprepro.collect.parameter.rollouts import returns
from hyprepro.collect.parameter.settings import ParentTraining
from hyprepro.collect.sac.agents import Networks, StackedSAC, folded
from hyprepro.collect.sac.loop import Observations
from hyprepro.collect.sac.networks import Normaliser, Parameters, to_flat
from hyprepro.collect.sac.update import Batch
from hyprepro.domains.cheetah_vel.tasks import HORIZON, LARGEST_VELOCITY
from hyprepro.engine.stage import Report, Stage
from hyprepro.policies.layout import CHEETAH_LAYOUT

CONDITION = CHEETAH_LAYOUT.observation_size
"""Which input the velocity is."""

SHOWN = 10
"""Velocities at which the parent is evaluated while it trains."""

_EVALUATION_SEED = start_seed("evaluation", 0)


class Curve(NamedTuple):
    """Returns `[k, v]` of the deterministic policy after `updates` `[k]` and `steps` `[k]`, at `velocities` `[v]`."""

    updates: NDArray[np.int64]
    steps: NDArray[np.int64]
    velocities: NDArray[np.float64]
    returns: NDArray[np.float64]


class Parent(NamedTuple):
    """A trained parent: its networks, the coordinates of its observations, its early and late actors, its curve.

    `kept` holds the actors after `kept_updates` `[K]`, stacked; `episodes` is the folder of its transitions.
    """

    networks: Networks
    normaliser: Normaliser
    kept: Parameters
    kept_updates: NDArray[np.int64]
    curve: Curve
    episodes: Path

    def policies(self, velocity: float) -> NDArray[np.float32]:
        """The kept actors folded at a velocity: flat policies `[K, P]`."""
        return fold_actors(self.kept, velocity, self.normaliser)

    def policy(self, velocity: float) -> NDArray[np.float32]:
        """The final actor folded at a velocity: a flat policy `[P]`."""
        flat: NDArray[np.float32] = fold_actors(self.networks.actor, velocity, self.normaliser)[0]
        return flat


def condition(velocities: Any) -> Any:
    """The input that stands for a velocity: -1 to 1 for 0 to 3 m/s."""
    return velocities / (LARGEST_VELOCITY / 2.0) - 1.0


def fold_actors(actors: Parameters, velocity: float, normaliser: Normaliser) -> NDArray[np.float32]:
    """Conditioned actors, stacked `[K, ...]`, as flat policies `[K, P]` of one velocity, for raw observations."""
    told = torch.tensor([condition(velocity)])
    return to_flat(folded(actors, told, CONDITION), CHEETAH_LAYOUT, normaliser)


@dataclass(frozen=True)
class TrainParent(Stage):
    """SAC of the conditioned agent on its training velocities."""

    kind: ClassVar[str] = "velocity-parent"
    training: ParentTraining
    velocities: tuple[float, ...]
    seed: int

    @property
    def label(self) -> str:
        """On how many velocities."""
        return f"parent of {len(self.velocities)} velocities"

    @property
    def cost(self) -> float:
        """At about 250 updates a second."""
        return self.training.updates / 250.0

    @property
    def rounds(self) -> int:
        """Rounds of episodes until all updates are done."""
        per_round = self.training.updates_per_step * self.training.environments * HORIZON
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
            Networks(part("actor."), part("critic."), part("target."), data["log_alpha"]),
            Normaliser(data["mean"].numpy(), data["scale"].numpy()),
            part("kept."),
            data["kept_updates"].numpy(),
            Curve(*(data[f"curve.{name}"].numpy() for name in Curve._fields)),
            path,
        )


class _Run(VelocityLoop[ParentTraining]):
    """The parent's own part of the training loop: random training velocities, relabelling, evaluation."""

    stream = "parent"

    def __init__(self, stage: TrainParent, work: Path, report: Report) -> None:
        settings = stage.training
        count, rate = settings.environments, settings.updates_per_step * settings.environments
        super().__init__(work, report, settings, count, stage.rounds, stage.seed, rate)
        self.velocities = torch.tensor(stage.velocities, dtype=torch.float32)
        spread = np.unique(np.linspace(0, len(stage.velocities) - 1, SHOWN).round().astype(int))
        self.shown = np.array(stage.velocities)[spread]
        share = np.linspace(0, 1, settings.checkpoints) ** 2
        self.keep_at = np.unique((share * settings.updates).round().astype(int)).tolist()
        self.kept: list[Parameters] = []
        self.curve: list[list[float]] = []
        self.sac = StackedSAC.of(settings.sac, fresh(CONDITION + 1, settings.sac, 1, self.generator))

    def targets(self) -> NDArray[np.float64]:
        """A random training velocity for each cheetah's next episode."""
        return self.velocities.numpy()[self.rng.integers(len(self.velocities), size=self.cheetahs)]

    def inputs(self, observations: Observations, velocities: NDArray[np.float64]) -> Tensor:
        """`[1, n, 18]`."""
        known = self.normalise(torch.from_numpy(observations))
        told = condition(torch.from_numpy(np.asarray(velocities, dtype=np.float32)))
        return torch.cat((known, told[:, None]), 1)[None]

    def batches(self, count: int) -> list[Batch]:
        """`count` batches of uniform transitions, partly relabelled."""
        shape = (count, self.settings.sac.batch_size)
        found = self.memory.gather(torch.randint(self.steps * self.cheetahs, shape, generator=self.generator))
        chosen = self.velocities[torch.randint(len(self.velocities), shape, generator=self.generator)]
        relabelled = torch.rand(shape, generator=self.generator) < self.settings.relabelled
        velocities = torch.where(relabelled, chosen, found.velocities)
        told = condition(velocities)[..., None]
        now, after = (torch.cat((self.normalise(o), told), 2) for o in (found.observations, found.next_observations))
        rewards = found.rewards(velocities)
        return [Batch(*(part[i : i + 1] for part in (now, found.actions, rewards, after))) for i in range(count)]

    def after_updates(self) -> None:
        """Keep what is to be kept, evaluate what is to be shown."""
        while len(self.kept) < len(self.keep_at) and self.updates >= self.keep_at[len(self.kept)]:
            self.kept.append({name: t.clone() for name, t in self.sac.actor.items()})
        if self.updates >= len(self.curve) * self.settings.report_every or self.updates >= self.settings.updates:
            self._evaluate()

    def _evaluate(self) -> None:
        actor = self.sac.actor
        policies = np.concatenate([fold_actors(actor, float(v), self.normaliser) for v in self.shown])
        found = returns(policies, self.shown, [_EVALUATION_SEED])[:, 0]
        self.curve.append([self.updates, self.steps * self.cheetahs, *found.tolist()])
        self.report.progress(
            min(self.updates, self.settings.updates),
            self.settings.updates,
            episode_return=float(found.mean()),
            temperature=float(self.sac.log_alpha.exp()),
            **{f"at_{v:g}": float(r) for v, r in zip(self.shown, found, strict=True)},
        )

    def state(self) -> dict[str, Any]:
        """See `Loop`."""
        return {**super().state(), "kept": self.kept, "curve": self.curve}

    def restore(self, state: dict[str, Any]) -> None:
        """See `Loop`."""
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
            "curve.velocities": torch.from_numpy(self.shown),
            "curve.returns": torch.from_numpy(curve[:, 2:].copy()),
        }
