"""The stage that scores a task's checkpoints, keeps some and records its offline episodes and prompts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hyprepro.collect.collection import Harvest, Kept, Recorded, load_harvest, save_harvest
from hyprepro.collect.parameter.experts import TrainExperts, seed_word
from hyprepro.collect.parameter.loop import start_seed
from hyprepro.collect.parameter.parent import TrainParent
from hyprepro.collect.parameter.rollouts import Run, returns, roll
from hyprepro.collect.parameter.settings import ParameterSelection
from hyprepro.domains.parameter import ParameterDomain
from hyprepro.engine.stage import Report, Stage
from hyprepro.errors import UserError

SIGNIFICANT_BITS = 9
"""Of the numbers in recorded episodes."""

_EPISODES_A_TASK = 1_000  # start seeds set aside for the recorded episodes of one
_PLACE = 7_919  # keeps tasks apart that differ in a later number alone


@dataclass(frozen=True)
class HarvestParameter(Stage):
    """Score, select and record for one task.

    Attributes:
        domain: What the task is of.
        parent: Whose checkpoints give the offline episodes, early to late; None: the experts' own checkpoints do.
        experts: The stack that the task's expert is in.
        selection: What to keep.
        task: The task.
        split: "train" or "test".
        seed: Of the exploration noise.
    """

    kind: ClassVar[str] = "parameter-harvest"
    domain: ParameterDomain
    parent: TrainParent | None
    experts: TrainExperts
    selection: ParameterSelection
    task: str
    split: str
    seed: int

    @property
    def label(self) -> str:
        """Which task."""
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
        return self._at_once * selection.starts + recorded

    @property
    def candidates(self) -> list[int]:
        """Rows of the run's checkpoints that may be stored, ascending; its start only if nothing else was kept."""
        return sorted(range(len(self.experts.checkpoints) - 1, 0, -self.selection.stride)) or [0]

    @property
    def _at_once(self) -> int:
        """Candidates that are scored together: all, or by the rule "last" as many as are still wanted at the start."""
        rows = len(self.candidates)
        return min(rows, self.selection.policies) if self.selection.rule == "last" else rows

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write policies.safetensors and episodes.safetensors.

        Raises:
            UserError: No checkpoint is as good as the selection asks for.
        """
        experts = self.experts.load(inputs["experts"])
        params, steps = experts.params[:, self.experts.tasks.index(self.task)], experts.steps
        chosen, scores = self._select(params)
        stored = params[chosen].astype(self.selection.weights)
        kept = [
            Kept(weights, self.seed, int(steps[row]), math.nan, scores[row], self.split)
            for weights, row in zip(stored, chosen, strict=True)
        ]
        report.progress(1, 1, episode_return=float(np.mean([scores[row] for row in chosen])))
        early = params if self.parent is None else self.parent.load(inputs["parent"]).policies(self.task)
        scored = [(self.seed, steps[row], math.nan, score) for row, score in sorted(scores.items())]
        save_harvest(work, kept, list(self._record(early, stored.astype(np.float32))), scored)

    def _select(self, params: NDArray[np.float32]) -> tuple[list[int], dict[int, float]]:
        """Rows of the stored checkpoints, ascending, and the mean return of each that was scored."""
        selection, rows, scores = self.selection, self.candidates, dict[int, float]()
        least, accepted = -math.inf, list[int]()
        if selection.acceptance is not None:
            scores |= self._scored(params, [0])
            least = scores[0] - selection.acceptance
        while rows and len(accepted) < selection.policies:
            rows, some = rows[: -self._at_once], rows[-self._at_once :]
            scores |= self._scored(params, some)
            accepted = [row for row in some if scores[row] >= least] + accepted
        if not accepted:
            raise UserError(
                f"No checkpoint of {self.task} returns {least:.1f}, which ParameterSelection.acceptance asks for.",
                where=f"best: {max(scores[row] for row in self.candidates):.1f}",
                fix="train longer or more carefully (ExpertTraining), or raise ParameterSelection.acceptance",
            )
        if selection.rule == "best":
            accepted.sort(key=lambda row: scores[row])
        return sorted(accepted[-selection.policies :]), scores

    def _scored(self, params: NDArray[np.float32], rows: list[int]) -> dict[int, float]:
        """Mean return of checkpoints, as they would be stored, over the selection's starts."""
        tried = params[rows].astype(self.selection.weights).astype(np.float32)
        starts = [start_seed("scoring", i) for i in range(self.selection.starts)]
        found = returns(self.domain, self.domain.layout, tried, [self.task] * len(tried), starts).mean(1)
        return dict(zip(rows, found.tolist(), strict=True))

    def load(self, path: Path) -> Harvest:
        """The task's policies and episodes."""
        return load_harvest(path)

    def _record(self, early: NDArray[np.float32], experts: NDArray[np.float32]) -> Iterator[Recorded]:
        """Offline episodes in the order of their sources' quality, then prompts."""
        selection, words = self.selection, [seed_word(number) for number in self.domain.parameter(self.task)]
        rng = np.random.default_rng((self.seed, *words))
        offline = "train" if self.split == "train" else "test"
        seed = _EPISODES_A_TASK * sum(word * _PLACE**place for place, word in enumerate(words))
        plans = (
            (early, selection.offline_episodes, offline, rng, False),
            (experts, selection.expert_episodes, offline, rng, True),
            (experts, selection.prompt_episodes, "validation", None, True),
        )
        for policies, count, split, noise, is_stored in plans:
            if not count:
                continue
            first = len(policies) - 1 if noise is None and selection.shown == "last" else 0
            rows = np.linspace(first, len(policies) - 1, count).round().astype(int)
            seeds = [start_seed("episodes", seed + i) for i in range(count)]
            seed += count
            run = rounded(roll(self.domain, self.domain.layout, policies[rows], [self.task] * count, seeds, noise))
            for row, start, observations, actions, rewards, steps, ended in zip(rows, seeds, *run, strict=True):
                arrays = observations[: steps + 1], actions[:steps], rewards[:steps]
                yield Recorded(*arrays, -1, start, int(row) if is_stored else -1, split, bool(ended))


def rounded(run: Run) -> Run:
    """Values with nine significant bits (0.1%), which a compressed store keeps in a third of the space."""

    def short(array: NDArray[np.float32]) -> NDArray[np.float32]:
        mantissa, exponent = np.frexp(array)
        values = np.ldexp(np.round(mantissa * 2.0**SIGNIFICANT_BITS), exponent - SIGNIFICANT_BITS)
        return np.asarray(values, dtype=np.float32)

    return run._replace(observations=short(run.observations), actions=short(run.actions), rewards=short(run.rewards))
