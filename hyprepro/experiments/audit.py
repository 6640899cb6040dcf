"""The audit: what generated policies reach with their prompt and without it, and how far they are from stored ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from hyprepro.component import component, setting
from hyprepro.engine.stage import Report, Stage
from hyprepro.experiments.controls import Control, NeighbourMean, NoisePrompt, NoisyCopy, OtherTask, ShuffledPrompt
from hyprepro.experiments.generated import as_policies
from hyprepro.experiments.known import KnownPolicies
from hyprepro.experiments.protocols import StrictProtocol
from hyprepro.experiments.recipe import Experiment, check_prompts, check_tasks, check_unique
from hyprepro.experiments.results import Outcome
from hyprepro.experiments.rollouts import Deployment, Rollouts
from hyprepro.gen_hyprl.choices import MatchedBy
from hyprepro.methods.base import Method
from hyprepro.reports.audit import AUDIT, OWN, AuditRecord, summarise_audit, write_audit
from hyprepro.reports.audit_table import AuditTable
from hyprepro.reports.report import Report as Page

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hyprepro.domains.base import Data
    from hyprepro.engine.cache import ArtifactCache

FILE = "distances.npz"
MEASURES = AuditRecord._fields[9:]
DIGITS = 6
"""Significant digits that are kept: what single precision has."""


@dataclass(frozen=True)
class PolicyDistances(Deployment):
    """How far the policies that a method yields for a task are from the training policies.

    Attributes:
        neighbours: How many of the nearest ones are averaged.
        states: On how many states of the task's prompts actions are compared, at most.
    """

    kind: ClassVar[str] = "policy-distances"

    neighbours: int
    states: int

    @property
    def label(self) -> str:
        """For progress lines."""
        seed = f" seed {self.seed}" if self.method.seeded else ""
        shown = f", {self.control.title}" if self.control else ""
        return f"distances {self.method.name} {self.task}{seed}{shown}"

    @property
    def cost(self) -> float:
        """Seconds on one slow core: matching each policy to its neighbours."""
        return 5 + 0.03 * self.prompts * self.neighbours

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write the measures of `reports.audit` `[n]` each, success apart."""
        import torch

        assert self.known is not None
        known = self.known.load(inputs["known"])
        params = torch.from_numpy(as_policies(self.deployed(inputs), self.method.name).params)
        near = known.near(params, self.neighbours)
        nearest = near.index[:, 0]
        mean = near.params.double().mean(1).float()
        away = (params.double() - mean.double()).square().mean(1).sqrt() / known.scale
        states = self._states()
        acted, averaged, stored = (known.actions(each, states) for each in (params, mean, known.params))
        own = known.tasks.index(self.task) if self.task in known.tasks else -1
        found = {
            "weights_nearest": near.distance[:, 0],
            "weights_mean": away,
            "actions_nearest": torch.stack([(stored - each).square().mean(1).min() for each in acted]),
            "actions_mean": (acted - averaged).square().mean(1),
            "known_nearest": known.nearest_other(nearest),
            "run_share": known.run_share(params, known.task[nearest]),
            "own_task": (known.task[nearest] == own).double(),
        }
        arrays = {name: values.double().numpy() for name, values in found.items()}
        np.savez(work / FILE, **arrays)  # type: ignore[arg-type]

    def load(self, path: Path) -> list[tuple[float, ...]]:
        """The measures of each policy, in the order of the prompts."""
        with np.load(path / FILE) as file:
            columns = [file[name] for name in MEASURES]
        return [tuple(float(f"{value:.{DIGITS}g}") for value in row) for row in zip(*columns, strict=True)]

    def _states(self) -> NDArray[np.float32]:
        query = self.data.domain.query(self.data, self.task, self.prompts, self.prompt_split)
        flat = query.shown.states.reshape(-1, query.shown.states.shape[-1])
        chosen = np.unique(np.linspace(0, len(flat) - 1, min(len(flat), self.states)).round().astype(int))
        return np.ascontiguousarray(flat[chosen])


@component
class AuditRecipe(Experiment):
    """Is a generated policy new, or a copy, and what had the prompt to do with it? For methods that write policies.

    Every method deploys for its prompts, and again for what each control shows or puts in their place. All policies run
    on the same fresh goals, and are held against the training policies in weights and in actions.
    """

    seen: tuple[str, ...] = setting((), "Tasks with training policies; they are averaged.")
    unseen: tuple[str, ...] = setting((), "Tasks without; averaged by themselves.")
    methods: tuple[Method, ...] = setting(..., "The rows of the tables: methods that write policies.", min_length=1)
    controls: tuple[Control, ...] = setting(
        (OtherTask(), ShuffledPrompt(), NoisePrompt(), NoisyCopy(), NeighbourMean()),
        "What stands in the place of the prompt, or of the policy.",
    )
    protocol: StrictProtocol = setting(StrictProtocol(), "The goals that policies run on.")
    neighbours: int = setting(5, "The nearest training policies that are averaged.", ge=1, le=100)
    matched_by: MatchedBy = setting("weights", "By what hidden units are matched before weights are compared.")
    known_per_task: int = setting(
        100, "At most so many training policies of each task are looked at, evenly spread.", ge=1, le=100_000
    )
    states: int = setting(256, "States on which actions are compared, at most.", ge=1)
    report: Page = setting(AuditTable(), "What is written from the numbers: a kind of table or figure.")
    prompts_per_task: int = setting(30, "Prompts, and so policies, for each task.", ge=1, le=10_000)
    prompt_split: Literal["test", "validation"] = setting(
        "test", "Which prompts: test, or validation to choose settings by."
    )

    @property
    def tasks(self) -> tuple[str, ...]:
        """All tasks that are evaluated."""
        return self.seen + self.unseen

    def targets(self, data: Data) -> tuple[Stage, ...]:
        """For each method, seed, task and control an evaluation, and the distances of its policies.

        Raises:
            UserError: A task, method or control stands twice, prompts are missing, a method does not fit the domain, or
                a control has no other task.
        """
        check_unique("AuditRecipe.methods", [method.name for method in self.methods])
        check_unique("AuditRecipe.seen and AuditRecipe.unseen", self.tasks)
        check_unique("AuditRecipe.controls", [control.label for control in self.controls])
        check_tasks("AuditRecipe.seen", self.tasks)
        check_prompts(self, self.tasks, self.prompt_split, data, "AuditRecipe.seen and .unseen")
        for method in self.methods:
            method.require(data)
        known = KnownPolicies.of(data, self.matched_by, self.known_per_task)
        return tuple(stage for method in self.methods for stage in self._of(method, data, known))

    def _of(self, method: Method, data: Data, known: KnownPolicies) -> Iterator[Stage]:
        for seed in range(self.seeds if method.seeded else 1):
            for task in self.tasks:
                for control in (None, *(each.for_task(task, self.tasks) for each in self.controls)):
                    made = Rollouts.of(
                        method,
                        data,
                        task=task,
                        split="unseen" if task in self.unseen else "seen",
                        protocol=self.protocol,
                        seed=seed,
                        prompts=self.prompts_per_task,
                        prompt_split=self.prompt_split,
                        control=control,
                        known=known if control is not None and control.copies else None,
                    )
                    yield made
                    yield PolicyDistances(
                        method, made.trained, data, task, made.split, self.neighbours, self.states, seed=made.seed,
                        prompts=made.prompts, prompt_split=made.prompt_split, control=control, known=known,
                    )  # fmt: skip

    def outcome(self, targets: Sequence[Stage], cache: ArtifactCache) -> Outcome:
        """One record a policy, and the numbers computed from them."""
        records = [
            record
            for rollouts, distances in zip(targets[::2], targets[1::2], strict=True)
            if isinstance(rollouts, Rollouts)
            for record in self._records(rollouts, distances, cache)
        ]
        summary = summarise_audit(records)
        methods = {method.name: {"knows": method.information(self.domain)} for method in self.methods}
        return Outcome(records, write_audit, summary.rows, summary.comparisons, methods, file=AUDIT)

    def _records(self, rollouts: Rollouts, distances: Stage, cache: ArtifactCache) -> Iterator[AuditRecord]:
        scores: dict[int, list[float]] = {}
        for record in rollouts.load(cache.path_of(rollouts)):
            scores.setdefault(record.policy, []).append(record.score)
        shown = OWN if rollouts.control is None else rollouts.control.label
        for policy, measured in enumerate(distances.load(cache.path_of(distances))):
            place = (rollouts.method.name, self.variant, rollouts.seed, rollouts.split, rollouts.task, policy, shown)
            own = scores[policy]
            yield AuditRecord(*place, len(own), sum(own) / len(own), *measured)
