"""The picture of a store of experts, also where a task lacks a checkpoint that others have."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.policies.layout import CHEETAH_LAYOUT
from hyprepro.reports.figures.stores import draw
from hyprepro.stores.policy_store import PolicyStoreWriter


def store(path: Path, steps: dict[str, list[int]]) -> Path:
    """Policies of some velocities at these steps of their runs."""
    with PolicyStoreWriter(path, CHEETAH_LAYOUT, {"name": "scratch"}, "float16") as writer:
        for task, some in steps.items():
            for step in some:
                params = np.full((1, CHEETAH_LAYOUT.size), 0.1, dtype=np.float32)
                writer.append(task, params, 0, step, math.nan, 1, -step / 100.0, "train")
    return path


@pytest.mark.parametrize(
    ("other", "panels"),
    [([100, 200, 300], 2), ([100, 300, 400], 2), ([100, 500], 1)],
)
def test_learning_curves_are_drawn_over_the_steps_that_all_have(tmp_path: Path, other: list[int], panels: int) -> None:
    path = store(tmp_path / "s.policies.h5", {"velocity-0.300": [100, 200, 300], "velocity-1.050": other})
    svg = draw(CheetahVel(), [path], "s")["s.svg"].decode()
    assert svg.count('id="axes_') == panels
    assert draw(CheetahVel(), [path], "s")["s.svg"].decode() == svg
