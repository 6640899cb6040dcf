"""Following a run: one small interface for writers, and what reads the stages' metrics for them.

A writer of your own derives from `Writer`, has `scalars`, and stands in `TRACKERS`. What is told is read from the files
that stages write anyway, so nothing is lost between two looks, and a page is whole after a run that found its trainings
finished.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.schedule import Event
from hyprepro.engine.stage import Stage, explaining
from hyprepro.errors import UserError, refuse_unknown
from hyprepro.experiments.trainings import metrics_file, named_stages, reported

PROJECT = "hyprepro"
TRACKERS = {
    "tensorboard": "hyprepro.tracking.tensorboard:TensorBoard",
    "wandb": "hyprepro.tracking.wandb:WeightsAndBiases",
    "trackio": "hyprepro.tracking.trackio:Trackio",
}
"""Writers by the name that `--track` takes."""


class Page(NamedTuple):
    """What is known of a run before it begins.

    Attributes:
        name: What it is called: "table1-desktop".
        folder: Of its result.
        command: The command line.
        operative_config: The gin text that resolves to its recipe.
        config: The resolved recipe.
    """

    name: str
    folder: Path
    command: str
    operative_config: str
    config: Mapping[str, Any]


class Writer(ABC):
    """Where curves and a page go. Only `scalars` is required; a writer has what else it has a place for."""

    @abstractmethod
    def scalars(self, training: str, step: int, values: Mapping[str, float]) -> None:
        """Take what a training measured at a step.

        Args:
            training: Its name, alone in the run.
            step: Of this training, from 1; growing, except that a metric may come anew at a step.
            values: By metric; not always the same ones.
        """

    def start(self, page: Page) -> None:  # noqa: B027  # see the class
        """Begin the run's page."""

    def table(self, markdown: str, result: Mapping[str, Any]) -> None:  # noqa: B027
        """Take the finished table: as it is printed, and the content of result.json."""

    def close(self) -> None:  # noqa: B027
        """End the page, whether the run got to its table or not."""


def writer_of(name: str) -> Writer:
    """A writer by its name.

    Raises:
        UserError: There is none, or the package behind it is not installed.
    """
    refuse_unknown(name, TRACKERS, f"There is no tracker named {name!r}.", f"--track {name}")
    module, _, attribute = TRACKERS[name].partition(":")
    try:
        found: type[Writer] = getattr(importlib.import_module(module), attribute)
        return found()
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("hyprepro"):
            raise
        raise UserError(
            f"{name} is not installed: there is no module {error.name}.",
            where=f"--track {name}",
            fix=f"pip install 'hyprepro[{name}]'",
        ) from None


class Tracking:
    """Hands what stages report to a writer, each line once.

    Args:
        writer: Takes it.
        stages: All stages of the run.
        cache: Where they report to.
    """

    def __init__(self, writer: Writer, stages: Sequence[Stage], cache: ArtifactCache) -> None:
        self._writer = writer
        self._cache = cache
        self._names = {stage.key: name for name, stage in named_stages(stages).items()}
        self._stages = {stage.key: stage for stage in stages}
        self._told: set[tuple[str, int, tuple[str, ...]]] = set()

    def __call__(self, event: Event) -> None:
        """Look at what a stage has reported since."""
        if event.kind in ("progress", "finished"):
            self._tell(event.stage.key)

    def finish(self) -> None:
        """Tell what stages reported that this run found finished."""
        for key in self._stages:
            self._tell(key)

    def _tell(self, key: str) -> None:
        stage = self._stages.get(key)
        if stage is None:
            return
        for step, values in reported(metrics_file(stage, self._cache)):
            told = (key, step, tuple(values))
            if told not in self._told:
                self._told.add(told)
                self._writer.scalars(self._names[key], step, values)


@contextmanager
def following(writer: Writer, page: Page, stages: Sequence[Stage], cache: ArtifactCache) -> Iterator[Tracking]:
    """A run's page for the time of a block; at the end of one that succeeds it has all that was reported."""
    with explaining(page.folder):
        writer.start(page)
    try:
        tracking = Tracking(writer, stages, cache)
        yield tracking
        tracking.finish()
    finally:
        writer.close()
