"""The evaluation stage: one method, one training set, one seed, one task, one protocol; it writes `records.csv`.

Where a domain's episodes can be stepped in several ways, it also writes `stepper.txt`: what stepped them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import fingerprint
from hyprepro.domains.base import Data, Use
from hyprepro.domains.episodes import Episode, run_episodes
from hyprepro.engine.stage import Report, Stage, device
from hyprepro.experiments.protocols import Protocol, Trial, ValidationProtocol
from hyprepro.methods.base import Method
from hyprepro.reports.records import Record, read_records, write_records

if TYPE_CHECKING:
    from hyprepro.policies.controllers import Controllers

RECORDS = "records.csv"
STEPPER = "stepper.txt"
DIGITS = 4
"""Decimals of a return that are kept."""

_CONTROLLERS = 20
"""About how many controllers a method deploys that is not asked for a number of them."""


@dataclass(frozen=True)
class Rollouts(Stage):
    """Deploys a method for a task and runs what it yields under a protocol.

    Attributes:
        method: The method, a component of slot "method".
        trained: The method's training stage, or None.
        data: The stores; for a method that learns, with all but the training tasks withheld.
        task: The task.
        split: Which tasks it is one of, for the records.
        protocol: The protocol. Another one is a stage of its own, so that leaving it out makes nothing again.
        seed: The generator seed.
        prompts: How many prompts, from the first, where the domain's condition is a prompt.
        prompt_split: Which prompts: "test", or "validation" to choose settings by.
        n_train: Number of training tasks, where a recipe varies it and the method depends on it; else None.
    """

    kind: ClassVar[str] = "rollouts"
    version: ClassVar[int] = 3

    method: Method
    trained: Stage | None
    data: Data
    task: str
    split: str
    protocol: Protocol
    seed: int
    prompts: int
    prompt_split: str
    n_train: int | None = None

    @classmethod
    def of(
        cls,
        method: Method,
        data: Data,
        *,
        task: str,
        split: str,
        protocol: Protocol,
        seed: int = 0,
        prompts: int = 100,
        prompt_split: str = "test",
        n_train: int | None = None,
    ) -> Rollouts:
        """With the training stage that the method asks for; a method without seeds is evaluated under seed 0."""
        seed = seed if method.seeded else 0
        trained = method.training(data.for_training, seed)
        return cls(method, trained, data, task, split, protocol, seed, prompts, prompt_split, n_train)

    @property
    def label(self) -> str:
        """For progress lines, such as `rollouts gen-hyprl door-open seed 1, strict`."""
        size = f", {self.n_train} trained," if self.n_train else ""
        seed = f" seed {self.seed}" if self.method.seeded else ""
        what = f"rollouts {self.method.name} {self.task}{size}{seed}".removesuffix(",")
        where = " on validation starts" if isinstance(self.protocol, ValidationProtocol) else f", {self.protocol.label}"
        return what + where

    @property
    def cost(self) -> float:
        """Seconds."""
        domain = self.data.domain
        count = self.prompts if domain.condition == "prompt" else _CONTROLLERS
        return domain.episode_seconds * count * self.protocol.episodes

    @property
    def affinity(self) -> str:
        """Evaluations of one task share its environments."""
        return self.task

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Deploy, run all trials at once, write the records in the order of the protocol's trials."""
        controllers, domain = self._deployed(inputs), self.data.domain
        trials = self._trials(controllers.n)
        episodes = [Episode(trial.policy, trial.start) for trial in trials]
        outcomes = run_episodes(domain, self.task, controllers, episodes, report.progress)
        records = [
            Record(
                self.method.name, "", self.seed, self.n_train, self.split, self.task, trial.protocol, trial.policy,
                trial.start.label, outcome.success, outcome.steps,
                None if outcome.total is None else round(outcome.total, DIGITS),
            )
            for trial, outcome in zip(trials, outcomes, strict=True)
        ]  # fmt: skip
        write_records(work / RECORDS, records)
        stepper = domain.stepped_by(self.task)
        if stepper:
            (work / STEPPER).write_text(stepper, encoding="utf-8")

    def load(self, path: Path) -> list[Record]:
        """The records of a finished evaluation."""
        return read_records(path / RECORDS)

    def stepped_by(self, path: Path) -> str:
        """What stepped the episodes of a finished evaluation, where there was a choice; else empty."""
        file = path / STEPPER
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def deploy(self, inputs: dict[str, Path]) -> Controllers:
        """The controllers that this evaluation runs, from the finished folders of its inputs."""
        query = self.data.domain.query(self.data, self.task, self.prompts, self.prompt_split)
        trained = None if self.trained is None else self.trained.load(inputs["trained"])
        return self.method.deploy(trained, self.data, query, self.seed)

    def _deployed(self, inputs: dict[str, Path]) -> Controllers:
        """The controllers; those of the last evaluation in this process where they are the same ones."""
        trained = None if self.trained is None else self.trained.key
        settings = [self.settings[name] for name in ("method", "data", "task", "seed", "prompts", "prompt_split")]
        places = [self.data.policies.path, self.data.trajectories.path]  # another file is read, and checked, again
        deployment = fingerprint([settings, trained, device(), places])
        if deployment not in _DEPLOYED:
            _DEPLOYED.clear()
            _DEPLOYED[deployment] = self.deploy(inputs)
        return _DEPLOYED[deployment]

    def _trials(self, policies: int) -> list[Trial]:
        use: Use = "validation" if self.split == "validation" else "test"
        return self.protocol.trials(self.data.domain, self.task, policies, use)


_DEPLOYED: dict[str, Controllers] = {}
"""The last controllers: the protocols of a task ask for the same ones, and fitting them to prompts takes seconds."""
