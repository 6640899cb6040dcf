"""What stages of one affinity leave in a process is given up before a long stage of another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from hyprepro.engine import kept
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.schedule import execute
from tests.engine.toy_stages import Toy


@dataclass(frozen=True)
class Lasting(Toy):
    kind: ClassVar[str] = "lasting"
    of: str = ""
    seconds: float = 10.0

    @property
    def affinity(self) -> str:
        return self.of

    @property
    def cost(self) -> float:
        return self.seconds


def test_only_a_long_stage_of_another_affinity_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given_up: list[str] = []
    monkeypatch.setattr(kept, "_RELEASES", [])
    monkeypatch.setattr(kept, "_affinity", "reach")
    kept.released_by(lambda: given_up.append("environments"))
    for stage, so_far in (
        (Lasting(name="1", of="reach"), 0),
        (Lasting(name="2", seconds=0.1), 0),
        (Lasting(name="3"), 1),
        (Lasting(name="4"), 1),
        (Lasting(name="5", of="reach"), 2),
    ):
        execute([stage], ArtifactCache(tmp_path), workers=0)
        assert len(given_up) == so_far
