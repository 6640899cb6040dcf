"""Fresh episodes of the training tasks' experts, for methods that learn from what experts do.

HyperZero's experts give ten episodes of 1,000 steps a task. A store holds few episodes, but it holds the experts, so
more can be recorded. Tasks that are tested give none, as their policies are not among the training ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hyprepro.engine.stage import Report, Stage
from hyprepro.errors import UserError

if TYPE_CHECKING:
    from hyprepro.domains.base import Data
    from hyprepro.stores.trajectory_store import Episode


FRESH = (
    "further episodes of each training task's last stored policy, without noise, made before the training; of tasks "
    "told by numbers"
)
"""What the setting `fresh_episodes` of a method means."""


def episodes_of(method: Any) -> str:
    """On which episodes a method is trained, for its row: those that its `episodes` and `fresh_episodes` name."""
    stored = "expert and offline" if method.episodes == "both" else method.episodes
    fresh = f" and {method.fresh_episodes} fresh ones of each expert" if method.fresh_episodes else ""
    return f"stored {stored} episodes{fresh}"


def require_numbers(method: Any, data: Data) -> None:
    """Refuse fresh episodes where tasks are told by prompts: training is on the episodes that those are cut from.

    Args:
        method: It has a setting `fresh_episodes`.
        data: What it is to be trained on.

    Raises:
        UserError: It asks for some there.
    """
    if method.fresh_episodes and data.domain.condition == "prompt":
        name = type(method).__name__
        raise UserError(
            f"{method.name} asks for fresh episodes, and {data.domain.title} tells its tasks by prompts.",
            where=f"{name}.fresh_episodes, of the row {method.name}",
            fix="bind that to 0",
        )


@dataclass(frozen=True)
class FreshEpisodes(Stage):
    """Runs the last stored policy of each training task, without exploration noise.

    Attributes:
        data: What training may read; of its domain, told by numbers.
        count: Episodes of each task.
    """

    kind: ClassVar[str] = "expert-episodes"

    data: Data
    count: int

    @property
    def label(self) -> str:
        """How many of each task."""
        return f"{self.count} episodes of each training {self.data.domain.told}'s expert"

    @property
    def cost(self) -> float:
        """That of as many episodes of an evaluation."""
        return self.data.domain.episode_seconds * self.count * len(self.data.trained())

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write an archive of each task's episodes."""
        from hyprepro.collect.parameter.loop import start_seed
        from hyprepro.collect.parameter.rollouts import AT_ONCE, Run, roll
        from hyprepro.domains.parameter import ParameterDomain

        domain, tasks = self.data.domain, list(self.data.trained())
        assert isinstance(domain, ParameterDomain)
        with self.data.open_policies() as store:
            for number, task in enumerate(tasks):
                expert = store.read(task, store.rows(task, "train")[-1:])
                seeds = [start_seed("fresh", number * self.count + i) for i in range(self.count)]
                runs = [
                    roll(domain, store.layout, expert.repeat(len(some), axis=0), [task] * len(some), some)
                    for some in (seeds[at : at + AT_ONCE] for at in range(0, self.count, AT_ONCE))
                ]
                run = Run(*map(np.concatenate, zip(*runs, strict=True)))
                np.savez(work / f"{number}.npz", **run._asdict())
                report.progress(number + 1, len(tasks), episode_return=float(run.rewards.sum(1).mean()))

    def load(self, path: Path) -> list[tuple[int, Episode]]:
        """All episodes, each with the number of its training task."""
        from hyprepro.stores.trajectory_store import Episode

        found: list[tuple[int, Episode]] = []
        for number, task in enumerate(self.data.trained()):
            with np.load(path / f"{number}.npz") as run:
                columns = (run[name] for name in ("observations", "actions", "rewards", "steps", "ended"))
                for observations, actions, rewards, steps, ended in zip(*columns, strict=True):
                    arrays = observations[: steps + 1], actions[:steps], rewards[:steps]
                    found.append((number, Episode(task, len(found), "fresh", -1, -1, -1, *arrays, bool(ended))))
        return found
