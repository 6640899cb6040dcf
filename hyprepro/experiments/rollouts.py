"""What a method yields, and the evaluation stage: one method, training set, seed, task and protocol.

It writes `records.csv`; where a domain's episodes can be stepped in several ways also `stepper.txt`: what stepped them;
and `notes.json` where the deployment has something to say.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import fingerprint
from hyprepro.domains.base import Data, Use
from hyprepro.domains.episodes import Episode, Outcome, run_episodes
from hyprepro.engine.stage import Report, Stage, device
from hyprepro.experiments.controls import Control
from hyprepro.experiments.known import KnownPolicies
from hyprepro.experiments.protocols import Protocol, Trial, ValidationProtocol
from hyprepro.methods.base import Method
from hyprepro.reports.records import Record, read_records, write_records

if TYPE_CHECKING:
    from hyprepro.policies.controllers import Controllers

RECORDS = "records.csv"
STEPPER = "stepper.txt"
NOTES = "notes.json"
DIGITS = 4
"""Decimals of a return that are kept."""

_CONTROLLERS = 20
"""About how many controllers a method deploys that is not asked for a number of them."""


@dataclass(frozen=True)
class Deployment(Stage):
    """What a method yields for a task.

    Attributes:
        method: The method, a component of slot "method".
        trained: The method's training stage, or None.
        data: The stores; for a method that learns, with all but the training tasks withheld.
        task: The task.
        split: Which tasks it is one of, for the records.
        seed: The generator seed.
        prompts: How many prompts, from the first, where the domain's condition is a prompt.
        prompt_split: Which prompts: "test", or "validation" to choose settings by.
        control: What stands in the place of the prompts or of the policies; None: nothing.
        known: The training policies, where the control needs them.
    """

    method: Method
    trained: Stage | None
    data: Data
    task: str
    split: str
    seed: int = field(default=0, kw_only=True)
    prompts: int = field(default=100, kw_only=True)
    prompt_split: str = field(default="test", kw_only=True)
    control: Control | None = field(default=None, kw_only=True)
    known: KnownPolicies | None = field(default=None, kw_only=True)

    @property
    def affinity(self) -> str:
        """Those of one task share its environments."""
        return self.task

    @cached_property
    def preparation(self) -> str:
        """The controllers that are deployed: protocols, and measures of policies, ask for the same ones."""
        settings = {each.name: self.settings.get(each.name) for each in fields(Deployment) if each.name != "known"}
        is_copied = self.control is not None and self.control.copies
        behind = [stage and stage.key for stage in (self.trained, self.known if is_copied else None)]
        return fingerprint([settings, behind])

    def deploy(self, inputs: dict[str, Path]) -> Controllers:
        """The controllers that the method yields, from the finished folders of the inputs."""
        query = self.data.domain.query(self.data, self.task, self.prompts, self.prompt_split)
        trained = None if self.trained is None else self.trained.load(inputs["trained"])
        if self.control is None:
            return self.method.deploy(trained, self.data, query, self.seed)
        shown = self.control.shown(query, self.data, self.prompt_split)
        found = self.method.deploy(trained, self.data, shown, self.seed)
        known = None if self.known is None else self.known.load(inputs["known"])
        return self.control.acting(found, self.method.name, query, known)

    def deployed(self, inputs: dict[str, Path]) -> Controllers:
        """The same; those of the last deployment in this process where it is the same one."""
        places = [self.data.policies.path, self.data.trajectories.path]  # another file is read, and checked, again
        deployment = fingerprint([self.preparation, device(), places])
        if deployment not in _DEPLOYED:
            _DEPLOYED.clear()
            _DEPLOYED[deployment] = self.deploy(inputs)
        return _DEPLOYED[deployment]


_DEPLOYED: dict[str, Controllers] = {}
"""The last controllers: the protocols of a task ask for the same ones, and fitting them to prompts takes seconds."""


@dataclass(frozen=True)
class Rollouts(Deployment):
    """Runs what a method yields for a task under a protocol.

    Attributes:
        protocol: The protocol. Another one is a stage of its own, so that leaving it out makes nothing again.
        n_train: Number of training tasks, where a recipe varies it and the method depends on it; else None.
    """

    kind: ClassVar[str] = "rollouts"
    version: ClassVar[int] = 3

    protocol: Protocol
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
        control: Control | None = None,
        known: KnownPolicies | None = None,
    ) -> Rollouts:
        """With the training stage that the method asks for; a method without seeds is evaluated under seed 0."""
        seed = seed if method.seeded else 0
        trained = method.deployable(data.for_training, seed)
        return cls(
            method, trained, data, task, split, protocol, n_train, seed=seed, prompts=prompts,
            prompt_split=prompt_split, control=control, known=known,
        )  # fmt: skip

    @property
    def label(self) -> str:
        """For progress lines, such as `rollouts gen-hyprl door-open seed 1, strict`."""
        size = f", {self.n_train} trained," if self.n_train else ""
        seed = f" seed {self.seed}" if self.method.seeded else ""
        zoo = f" {self.data.zoo}" if self.data.zoo else ""
        what = f"rollouts{zoo} {self.method.name} {self.task}{size}{seed}".removesuffix(",")
        what += f", {self.control.title}" if self.control else ""
        where = " on validation starts" if isinstance(self.protocol, ValidationProtocol) else f", {self.protocol.label}"
        return what + where

    @property
    def cost(self) -> float:
        """Seconds."""
        domain = self.data.domain
        count = self.prompts if domain.condition == "prompt" else _CONTROLLERS
        return domain.episode_seconds * count * self.protocol.episodes

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Deploy, run all trials at once, write the records in the order of the protocol's trials."""
        controllers, domain = self.deployed(inputs), self.data.domain
        trials = self.trials(self.task, controllers.n)
        episodes = [Episode(trial.policy, trial.start) for trial in trials]
        outcomes = run_episodes(domain, self.task, controllers, episodes, report.progress, whole=self.protocol.whole)
        if self.protocol.whole:
            outcomes = [Outcome(success=outcome.held) for outcome in outcomes]
        records = [
            Record(
                self.method.name, "", self.seed, self.n_train, self.split, self.task, trial.protocol, trial.policy,
                trial.start.label, outcome.success, outcome.steps,
                None if outcome.total is None else round(outcome.total, DIGITS),
            )
            for trial, outcome in zip(trials, outcomes, strict=True)
        ]  # fmt: skip
        write_records(work / RECORDS, records)
        notes = getattr(controllers, "notes", ())
        if notes:
            (work / NOTES).write_text(json.dumps(notes), encoding="utf-8")
        stepper = domain.stepped_by(self.task)
        if stepper:
            (work / STEPPER).write_text(stepper, encoding="utf-8")

    def load(self, path: Path) -> list[Record]:
        """The records of a finished evaluation."""
        return read_records(path / RECORDS)

    def notes(self, path: Path) -> list[str]:
        """What the deployment of a finished evaluation had to say."""
        file = path / NOTES
        return list(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else []

    def stepped_by(self, path: Path) -> str:
        """What stepped the episodes of a finished evaluation, where there was a choice; else empty."""
        file = path / STEPPER
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def trials(self, task: str, policies: int) -> list[Trial]:
        """The episodes that the protocol runs of the first so many policies of a task."""
        use: Use = "validation" if self.split == "validation" else "test"
        return self.protocol.trials(self.data.domain, task, policies, use)
