"""The evaluation stage: one method, one seed, one task; it writes `records.csv`, and `stepper.txt`: what stepped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.domains.base import Data
from hyprepro.domains.episodes import Episode, run_episodes
from hyprepro.domains.metaworld.domain import MetaWorld
from hyprepro.domains.metaworld.steppers import StepperName, stepper_in_use
from hyprepro.engine.stage import Report, Stage, StoreFile
from hyprepro.experiments.protocols import Protocol, Trial, ValidationProtocol
from hyprepro.methods.base import Method
from hyprepro.reports.records import Record, read_records, write_records

if TYPE_CHECKING:
    from hyprepro.policies.controllers import Controllers

RECORDS = "records.csv"
STEPPER = "stepper.txt"


@dataclass(frozen=True)
class Rollouts(Stage):
    """Deploys a method on a task's prompts and runs what it yields under some protocols.

    Attributes:
        method: The method, a component of slot "method".
        trained: The method's training stage, or None.
        task: The Meta-World task.
        split: "seen" or "unseen", for the records.
        protocols: The protocols, in the order of the records.
        seed: The generator seed.
        prompts: How many prompts, from the first.
        prompt_split: Which prompts: "test", or "validation" to choose settings by.
        policies: The policy store.
        trajectories: The trajectory store.
        stepper: What shall step the environments.
    """

    kind: ClassVar[str] = "rollouts"
    version: ClassVar[int] = 1

    method: Method
    trained: Stage | None
    task: str
    split: str
    protocols: tuple[Protocol, ...]
    seed: int
    prompts: int
    prompt_split: str
    policies: StoreFile
    trajectories: StoreFile
    stepper: StepperName = "fast"

    @classmethod
    def of(
        cls,
        method: Method,
        data: Data,
        *,
        task: str,
        split: str,
        protocols: tuple[Protocol, ...],
        seed: int = 0,
        prompts: int = 100,
        prompt_split: str = "test",
        stepper: StepperName = "fast",
    ) -> Rollouts:
        """With the training stage that the method asks for; a method without seeds is evaluated under seed 0."""
        seed = seed if method.seeded else 0
        trained = method.training(data, seed)
        stores = data.policies, data.trajectories
        return cls(method, trained, task, split, protocols, seed, prompts, prompt_split, *stores, stepper)

    @property
    def label(self) -> str:
        """For progress lines, such as `rollouts gen-hyprl door-open seed 1`."""
        seed = f" seed {self.seed}" if self.method.seeded else ""
        is_selection = all(isinstance(protocol, ValidationProtocol) for protocol in self.protocols)
        return f"rollouts {self.method.name} {self.task}{seed}" + (" on validation goals" if is_selection else "")

    @property
    def cost(self) -> float:
        """Seconds: an episode of a good policy takes about 0.05 s, a failed one 0.25 s."""
        return 0.08 * len(self._trials(self.prompts))

    @property
    def affinity(self) -> str:
        """Evaluations of one task share its environments."""
        return self.task

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Deploy, run all trials at once, write the records in the order of the protocols' trials."""
        from hyprepro.domains.metaworld.pool import (
            process_pool,  # lazily, here and below: a run with nothing to do never gets here
        )

        controllers = self.deploy(inputs)
        trials = self._trials(controllers.n)
        outcomes = run_episodes(
            self.task,
            controllers,
            [Episode(trial.policy, trial.goal) for trial in trials],
            process_pool(self.stepper),
            on_finished=report.progress,
        )
        records = [
            Record(
                self.method.name, "", self.seed, None, self.split, self.task, trial.protocol, trial.policy,
                trial.goal.label, outcome.success, outcome.steps,
            )
            for trial, outcome in zip(trials, outcomes, strict=True)
        ]  # fmt: skip
        write_records(work / RECORDS, records)
        (work / STEPPER).write_text(stepper_in_use(self.stepper, (self.task,)), encoding="utf-8")

    def load(self, path: Path) -> list[Record]:
        """The records of a finished evaluation."""
        return read_records(path / RECORDS)

    def stepped_by(self, path: Path) -> str:
        """What stepped the environments of a finished evaluation: "fast", or "metaworld" if asked for or refused."""
        return (path / STEPPER).read_text(encoding="utf-8")

    def _trials(self, policies: int) -> list[Trial]:
        return [trial for protocol in self.protocols for trial in protocol.trials(self.task, policies)]

    def deploy(self, inputs: dict[str, Path]) -> Controllers:
        """The controllers that this evaluation runs, from the finished folders of its inputs."""
        data = Data(self.policies, self.trajectories, domain=MetaWorld())
        query = data.domain.query(data, self.task, self.prompts, self.prompt_split)
        trained = None if self.trained is None else self.trained.load(inputs["trained"])
        return self.method.deploy(trained, data, query, self.seed)
