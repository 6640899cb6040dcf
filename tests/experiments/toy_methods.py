"""Methods that cost nothing, for tests of the pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hyprepro.component import setting
from hyprepro.domains.base import Data, Query
from hyprepro.engine.stage import Report, Stage
from hyprepro.errors import UserError
from hyprepro.methods.base import Method
from hyprepro.policies.controllers import Controllers, PolicyControllers


@dataclass(frozen=True)
class Draw(Stage):
    """Draws a number per seed."""

    kind: ClassVar[str] = "draw"
    uses_torch: ClassVar[bool] = False
    seed: int
    scale: float

    @property
    def label(self) -> str:
        return f"draw seed {self.seed}"

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        (work / "number.txt").write_text(repr(self.scale * float(np.random.default_rng(self.seed).normal())))

    def load(self, path: Path) -> float:
        return float((path / "number.txt").read_text())


class Sources(Method):
    """The test policies of the store."""

    label: ClassVar[str] = "expert"
    knows: ClassVar[str] = "the policies"

    def deploy(self, trained: Any, data: Data, query: Query, seed: int) -> Controllers:
        with data.open_policies() as store:
            return PolicyControllers(store.layout, store.read(query.task, query.shown.policy_rows))


class Shifted(Method):
    """The test policies, all weights shifted by a number that was drawn in training."""

    label: ClassVar[str] = "gen-hyprl"
    seeded: ClassVar[bool] = True
    knows: ClassVar[str] = "the policies"
    scale: float = setting(0.01, "Standard deviation of the shift.", ge=0.0)
    fails: bool = setting(False, "Whether deployment fails.")

    def training(self, data: Data, seed: int) -> Stage | None:
        return Draw(seed, self.scale)

    def deploy(self, trained: Any, data: Data, query: Query, seed: int) -> Controllers:
        if self.fails:
            raise UserError("This method cannot be deployed.", where="a test")
        with data.open_policies() as store:
            params = store.read(query.task, query.shown.policy_rows) + np.float32(trained)
            return PolicyControllers(store.layout, params)
