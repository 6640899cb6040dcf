"""The evaluation stage of Table 4: one method, one number of training velocities, one seed, one target velocity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from hyprepro.domains.base import Data
from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.domains.cheetah_vel.tasks import HORIZON, velocity_reward, velocity_task
from hyprepro.engine.stage import Report, Stage, StoreFile
from hyprepro.methods.base import Method
from hyprepro.reports.records import Record, read_records, write_records

if TYPE_CHECKING:
    from hyprepro.policies.controllers import Controllers

RECORDS = "records.csv"
EPISODES_AT_ONCE = 64
DIGITS = 4
"""Decimals of a return that are kept."""


def start_seeds(split: str, base_seed: int, velocity: float, count: int) -> tuple[int, ...]:
    """The first `count` starts of a velocity: the same for every method and seed, others for each velocity and use."""
    task = velocity_task(velocity)
    return tuple(CheetahVel().start(split, base_seed, task, index).seed for index in range(count))


@dataclass(frozen=True)
class VelocityRollouts(Stage):
    """Deploys a method for a target velocity and runs every controller from every start.

    Attributes:
        method: The method, a component of slot "method".
        trained: The method's training stage, or None.
        velocities: The training velocities, in m/s; empty for a method that does not depend on them.
        target: The target velocity, in m/s.
        split: "test" or "validation", or "seen" or "unseen" for others of the grid; for the records.
        starts: Start seeds, the same for every controller.
        seed: The seed.
        policies: The policy store, with all but the training velocities withheld.
        trajectories: The trajectory store.
        parents: The store of the parent's policies, if it is known.
    """

    kind: ClassVar[str] = "velocity-rollouts"
    version: ClassVar[int] = 1

    method: Method
    trained: Stage | None
    velocities: tuple[float, ...]
    target: float
    split: str
    starts: tuple[int, ...]
    seed: int
    policies: StoreFile
    trajectories: StoreFile
    parents: StoreFile | None = None

    @classmethod
    def of(
        cls,
        method: Method,
        data: Data,
        velocities: tuple[float, ...],
        *,
        target: float,
        split: str,
        starts: tuple[int, ...],
        seed: int = 0,
    ) -> VelocityRollouts:
        """With the training stage that the method asks for; a method without seeds is evaluated under seed 0.

        Args:
            method: The method.
            data: The stores; for a method that learns, as `Data.trained_on` of the velocities gives them.
            velocities: The training velocities; of no account for a method that does not depend on them.
            target: As in the attributes.
            split: As in the attributes.
            starts: As in the attributes.
            seed: As in the attributes.
        """
        seed = seed if method.seeded else 0
        velocities = velocities if method.learns else ()
        trained = method.training(data, seed)
        stores = (data.policies, data.trajectories, data.parents)
        return cls(method, trained, velocities, target, split, starts, seed, *stores)

    @property
    def n_train(self) -> int | None:
        """Number of training velocities; None for a method that does not depend on them."""
        return len(self.velocities) or None

    @property
    def label(self) -> str:
        """For progress lines, such as `rollouts gen-hyprl velocity-1.200, 35 trained, seed 1`."""
        size = f", {len(self.velocities)} trained" if self.velocities else ""
        return f"rollouts {self.method.name} {velocity_task(self.target)}{size}" + (
            f", seed {self.seed}" if self.method.seeded else ""
        )

    @property
    def cost(self) -> float:
        """Seconds: about 0.025 s an episode, 20 controllers at most times."""
        return 0.025 * 20 * len(self.starts)

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Deploy, run all episodes, write the records controller by controller."""
        controllers = self.deploy(inputs)
        rows = np.repeat(np.arange(controllers.n), len(self.starts))
        starts = list(self.starts) * controllers.n
        totals = run_episodes(controllers, rows, starts, self.target, report.progress)
        records = [
            Record(
                self.method.name, "", self.seed, self.n_train, self.split, velocity_task(self.target), "paper",
                int(row), f"fresh-{start}", total=round(float(total), DIGITS),
            )
            for row, start, total in zip(rows, starts, totals, strict=True)
        ]  # fmt: skip
        write_records(work / RECORDS, records)

    def load(self, path: Path) -> list[Record]:
        """The records of a finished evaluation."""
        return read_records(path / RECORDS)

    def deploy(self, inputs: dict[str, Path]) -> Controllers:
        """The controllers that this evaluation runs, from the finished folders of its inputs."""
        data = Data(self.policies, self.trajectories, self.parents, domain=CheetahVel())
        query = data.domain.query(data, velocity_task(self.target), 0, self.split)
        trained = None if self.trained is None else self.trained.load(inputs["trained"])
        return self.method.deploy(trained, data, query, self.seed)


def run_episodes(
    controllers: Controllers,
    rows: NDArray[np.int64],
    starts: Sequence[int],
    target: float,
    on_finished: Callable[[int, int], None] = lambda done, total: None,
) -> NDArray[np.float64]:
    """The undiscounted return of each of some episodes `[n]`, whatever the others are.

    Args:
        controllers: What acts. An action that is not finite counts as no torque.
        rows: The controller of each episode `[n]`.
        starts: The start seed of each episode.
        target: The target velocity, in m/s.
        on_finished: Called with the number of episodes done and their total.
    """
    from hyprepro.domains.cheetah_vel.env import CheetahBatch  # lazily: it loads the simulator

    totals = np.zeros(len(rows))
    cheetahs = CheetahBatch(min(EPISODES_AT_ONCE, len(rows)))
    for first in range(0, len(rows), EPISODES_AT_ONCE):
        part = slice(first, first + EPISODES_AT_ONCE)
        session = controllers.session(len(rows[part]))
        for slot, row in enumerate(rows[part]):
            session.assign(slot, int(row))
        observations = cheetahs.reset(starts[part])
        for _ in range(HORIZON):
            actions = np.clip(
                np.nan_to_num(session.act(observations.astype(np.float32)), posinf=0.0, neginf=0.0), -1.0, 1.0
            )
            observations, speed = cheetahs.step(actions)
            rewards = velocity_reward(speed, actions.astype(np.float64), target)
            session.observe(rewards)
            totals[part] += rewards
        on_finished(min(first + EPISODES_AT_ONCE, len(rows)), len(rows))
    return totals
