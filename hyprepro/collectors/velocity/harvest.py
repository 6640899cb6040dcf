"""The stage that scores a velocity's checkpoints, keeps some and records its offline episodes and prompts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hyprepro.artifacts import Report, Stage
from hyprepro.collectors.harvested import Harvest, Kept, Recorded, load_harvest, save_harvest
from hyprepro.collectors.velocity.experts import TrainExperts
from hyprepro.collectors.velocity.loop import start_seed
from hyprepro.collectors.velocity.parent import TrainParent
from hyprepro.collectors.velocity.rollouts import Run, returns, roll
from hyprepro.collectors.velocity.settings import VelocitySelection
from hyprepro.envs.velocities import velocity_task

SIGNIFICANT_BITS = 9
"""Of the numbers in recorded episodes."""

_EPISODES_A_VELOCITY = 1_000  # start seeds set aside for the recorded episodes of one


@dataclass(frozen=True)
class HarvestVelocity(Stage):
    """Score, select and record for one velocity.

    Attributes:
        parent: Whose checkpoints give the offline episodes, early to late; None: the experts' own checkpoints do.
        experts: The stack that the velocity's expert is in.
        selection: What to keep.
        velocity: m/s.
        split: "train" or "test".
        seed: Of the exploration noise.
    """

    kind: ClassVar[str] = "velocity-harvest"
    parent: TrainParent | None
    experts: TrainExperts
    selection: VelocitySelection
    velocity: float
    split: str
    seed: int

    @property
    def task(self) -> str:
        """The velocity's name in the stores."""
        return velocity_task(self.velocity)

    @property
    def label(self) -> str:
        """Which velocity."""
        return f"policies and episodes of {self.task}"

    @property
    def cost(self) -> float:
        """At about 10,000 steps a second."""
        return 0.02 * self.episodes

    @property
    def episodes(self) -> int:
        """How many are run, for scores and for the store."""
        selection = self.selection
        recorded = selection.offline_episodes + selection.expert_episodes + selection.prompt_episodes
        return self._candidates * selection.starts + recorded

    @property
    def _candidates(self) -> int:
        """Checkpoints that are scored."""
        every = 1 + self.experts.training.updates // self.experts.training.checkpoint_every
        return min(every, self.selection.policies) if self.selection.rule == "last" else every

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write policies.safetensors and episodes.safetensors."""
        experts = self.experts.load(inputs["experts"])
        params = experts.params[:, self.experts.velocities.index(self.velocity)]
        tried = params[-self._candidates :].astype(self.selection.weights).astype(np.float32)
        starts = [start_seed("scoring", i) for i in range(self.selection.starts)]
        found = returns(tried, np.full(len(tried), self.velocity), starts).mean(1)
        steps = experts.steps[-self._candidates :]
        chosen = np.sort(np.argsort(found, kind="stable")[-self.selection.policies :])
        kept = [
            Kept(
                tried[i].astype(self.selection.weights), self.seed, int(steps[i]), math.nan, float(found[i]), self.split
            )
            for i in chosen
        ]
        report.progress(1, 1, episode_return=float(found[chosen].mean()))
        early = params if self.parent is None else self.parent.load(inputs["parent"]).policies(self.velocity)
        scored = np.stack([np.full(len(found), self.seed), steps, np.full(len(found), math.nan), found], axis=1)
        save_harvest(work, kept, list(self._record(early, tried[chosen])), scored)

    def load(self, path: Path) -> Harvest:
        """The velocity's policies and episodes."""
        return load_harvest(path)

    def _record(self, early: NDArray[np.float32], experts: NDArray[np.float32]) -> Iterator[Recorded]:
        """Offline episodes in the order of their sources' quality, then prompts."""
        selection, word = self.selection, round(1000 * self.velocity)
        rng = np.random.default_rng((self.seed, word))
        offline = "train" if self.split == "train" else "test"
        seed = word * _EPISODES_A_VELOCITY
        plans = (
            (early, selection.offline_episodes, offline, rng, False),
            (experts, selection.expert_episodes, offline, rng, True),
            (experts, selection.prompt_episodes, "validation", None, True),
        )
        for policies, count, split, noise, is_stored in plans:
            if not count:
                continue
            rows = np.linspace(0, len(policies) - 1, count).round().astype(int)
            seeds = [start_seed("episodes", seed + i) for i in range(count)]
            seed += count
            run = roll(policies[rows], np.full(count, self.velocity), seeds, noise)
            for row, start, arrays in zip(rows, seeds, zip(*rounded(run), strict=True), strict=True):
                yield Recorded(*arrays, -1, start, int(row) if is_stored else -1, split)


def rounded(run: Run) -> Run:
    """Values with nine significant bits (0.1%), which a compressed store keeps in a third of the space."""

    def short(array: NDArray[np.float32]) -> NDArray[np.float32]:
        mantissa, exponent = np.frexp(array)
        values = np.ldexp(np.round(mantissa * 2.0**SIGNIFICANT_BITS), exponent - SIGNIFICANT_BITS)
        return np.asarray(values, dtype=np.float32)

    return Run(*map(short, run))
