"""What a method was trained to be, and what the adaptation of its policies learnt beside it, in one artifact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from hyprepro.engine.stage import Report, Stage
from hyprepro.gen_hyprl.assembled import gather


class Equipped(NamedTuple):
    """Both, loaded.

    Attributes:
        trained: The method's; None where it is not trained.
        learnt: The adaptation's.
    """

    trained: Any
    learnt: Any


@dataclass(frozen=True)
class Equip(Stage):
    """Gathers the two.

    Attributes:
        trained: The method's last training stage; None where it is not trained.
        learnt: The adaptation's.
    """

    kind: ClassVar[str] = "equipped"

    trained: Stage | None
    learnt: Stage

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Give each a folder here."""
        gather(work, inputs)

    def load(self, path: Path) -> Equipped:
        """Both, frozen."""
        trained = None if self.trained is None else self.trained.load(path / "trained")
        return Equipped(trained, self.learnt.load(path / "learnt"))
