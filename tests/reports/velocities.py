"""Records and results of Cheetah-Vel with known returns, for the tests of its tables and figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.reports.records import Record
from hyprepro.reports.summary import summarise
from tests.cheetah_stores import velocity_task

TESTED = (0.225, 1.2)
MEANS: dict[tuple[str, int | None], float] = {
    ("gen-hyprl", 35): -20.0,
    ("gen-hyprl", 10): -25.0,
    ("gen-hyprl-wo-hypformer", 35): -21.0,
    ("gen-hyprl-wo-hypformer", 10): -26.0,
    ("expert", None): -18.0,
    ("nearest-velocity", 35): -22.0,
    ("nearest-velocity", 10): -40.0,
}


def records(
    means: Mapping[tuple[str, int | None], float] = MEANS,
    noise: float = 1.0,
    policies: int = 4,
    starts: int = 5,
    seeds: int = 2,
    splits: Mapping[float, str] | None = None,
) -> list[Record]:
    """Every method at every velocity; each start has an effect of its own, the same for all methods."""
    rng = np.random.default_rng(0)
    splits = splits or dict.fromkeys(TESTED, "test")
    start_effects = {(v, g): 5 * rng.normal() for v in splits for g in range(starts)}
    return [
        Record(
            method,
            "ours",
            s,
            size,
            split,
            velocity_task(v),
            "paper",
            p,
            f"fresh-{g}",
            total=mean - 10 * v + start_effects[v, g] + noise * rng.normal(),
        )
        for (method, size), mean in means.items()
        for s in range(seeds if method.startswith("gen-hyprl") else 1)
        for v, split in splits.items()
        for p in range(policies if method != "nearest-velocity" else 1)
        for g in range(starts)
    ]


def velocity_result(found: Sequence[Record], recipe: str = "table4") -> dict[str, Any]:
    """The content of a result.json of some records."""
    summary = summarise(found, recipe=recipe, resamples=100)
    seconds = {"35": 60.4, "10": 30.0}
    methods = {"gen-hyprl": {"knows": "the velocity", "training_seconds_by_n_train": seconds}}
    methods["expert"] = {"knows": "the policies", "training_seconds_by_n_train": {"any": 0.0}}
    report = {"component": "ReturnTable"}
    return {
        "schema": 1,
        "recipe": recipe,
        "domain": CheetahVel().words,
        "scale": "desktop",
        "variant": "ours",
        "provenance": {
            "config": {"title": "Table 4", "report": report},
            "stores": {"policies": "a", "trajectories": "b", "route": {"summary": "SAC."}},
            "versions": {"metaworld": "3.1.1", "mujoco": "3.3.0", "gymnasium": "1.1.1"},
        },
        "methods": methods,
        "rows": list(summary.rows),
        "comparisons": list(summary.comparisons),
    }
