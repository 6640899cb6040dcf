"""Results with known numbers, for the tests of the figures."""

from __future__ import annotations

from typing import Any

import numpy as np

from hyprepro.reports import paper
from hyprepro.reports.latents import TRUE, LatentRecord, summarise_latents
from hyprepro.reports.summary import summarise
from tests.reports.synthetic import make_records, make_result

TOKENS = (8, 32, 512)
RATES = {8: 0.9, 32: 0.7, 512: 0.4}


def tokens_result(prompt_split: str = "test", rates: dict[int, float] = RATES, **config: Any) -> dict[str, Any]:
    """A result of the recipe figure5 with three numbers of tokens on the paper's tasks."""
    seen, unseen = (paper.per_task(split).tasks for split in ("seen", "unseen"))
    records = make_records({f"gen-hyprl-{n}": rate for n, rate in rates.items()}, (*seen, *unseen), policies=4)
    summary = summarise(records, recipe="figure5", tasks=[*seen, *unseen], resamples=50)
    methods = [
        {
            "component": "GenHypRL",
            "row": f"gen-hyprl-{n}",
            "candidates": n,
            "retrained": False,
            "hypformer": {"candidates": 8},
        }
        for n in rates
    ]
    result = make_result(recipe="figure5", rows=summary.rows, comparisons=summary.comparisons)
    result["provenance"]["config"] |= {
        "title": "Figure 5",
        "seen": list(seen),
        "unseen": list(unseen),
        "methods": methods,
        "prompt_split": prompt_split,
        "prompts_per_task": 4,
        **config,
    }
    return result


def latent_records(tasks: tuple[str, ...] = ("door-open", "reach"), prompts: int = 6) -> list[LatentRecord]:
    """True latents around a task's mean; HypFormer's close to them, HypLatent's further off; two generator seeds."""
    rng = np.random.default_rng(0)
    found = []
    for number, task in enumerate(tasks):
        true = 3.0 * number + rng.normal(0.0, 1.0, (prompts, 3))
        found += _records(TRUE, 0, task, true, np.linalg.norm(true - true.mean(axis=0), axis=1))
        for method, error in (("gen-hyprl-wo-hypformer", 0.8), ("gen-hyprl", 0.1)):
            for seed in range(2):
                points = true + rng.normal(0.0, error, true.shape)
                found += _records(method, seed, task, points, np.linalg.norm(points - true, axis=1))
    return found


def _records(method: str, seed: int, task: str, points: np.ndarray, distances: np.ndarray) -> list[LatentRecord]:
    return [
        LatentRecord(
            method, "ours", seed, "seen", task, row, row // 2, float(d), float(d) / 2, 0.0, tuple(map(float, at))
        )
        for row, (at, d) in enumerate(zip(points, distances, strict=True))
    ]


def latents_result(records: list[LatentRecord]) -> dict[str, Any]:
    """A result of the recipe figure4."""
    summary = summarise_latents(records, resamples=50)
    result = make_result(recipe="figure4", rows=summary.rows, comparisons=summary.comparisons)
    tasks = list(dict.fromkeys(record.task for record in records))
    config = {
        "title": "Figure 4",
        "tasks": tasks,
        "prompts_per_task": 6,
        "prompt_split": "test",
        "components": 3,
        "report": {"seed": 0},
    }
    result["provenance"]["config"] = config
    return result
