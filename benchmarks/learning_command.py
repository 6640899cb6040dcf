"""What `hyprepro bench learning` does: its stages, its result, its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hyprepro.cli import console
from hyprepro.cli.arguments import choose_executor
from hyprepro.cli.progress import RunProgress
from hyprepro.errors import UserError
from hyprepro.experiments.choice import open_cache

TASKS = ("reach", "handle-press", "faucet-close", "velocity-0.750", "velocity-1.500")
SCORES = ("returns", "success")
UPDATES = {"success_rate": 5_000, "return": 20_000}
"""Gradient steps of a task by what it is scored by: the returns of both trainers have risen well by then."""
SETTINGS = {"learning_rate": 1e-3, "batch_size": 256, "initial_temperature": 0.2}
"""Of both trainers, `ParameterSAC`'s; with Make-An-Agent's smaller steps and larger temperature, little is learnt."""


def compare(
    tasks: Sequence[str],
    seeds: int,
    updates: int | None,
    points: int,
    episodes: int,
    products: str,
    workers: int | None,
    cache: Path | None,
) -> dict[str, Any]:
    """Train what is not in the cache, and compare: by task its settings and what `tables.learning.compared` finds.

    Args:
        tasks: Meta-World tasks and velocities.
        seeds: Agents of each task and trainer.
        updates: Gradient steps an agent; None, as many as `UPDATES` says.
        points: Tests of each agent after the one at the start.
        episodes: Of a test.
        products: Of the batched trainer.
        workers: Processes; None, as many as there are processors.
        cache: Of finished runs.

    Raises:
        UserError: An unknown task or kind of products, fewer updates than points.
    """
    from benchmarks.learning import TRAINERS, compared
    from hyprepro.engine.provenance import versions
    from hyprepro.engine.schedule import execute

    runs = _runs(tasks, seeds, updates, points, episodes, products)
    store = open_cache(cache)
    with RunProgress() as progress:
        execute(
            [stage for stages in runs.values() for stage in stages],
            store,
            choose_executor("local", None, workers),
            progress,
        )
    found: dict[str, Any] = {}
    for task in tasks:
        curves = {trainer: _joined(runs[task, trainer], store) for trainer in TRAINERS}
        marks = curves[TRAINERS[0]]["updates"]
        by_score = {score: compared({name: c[score] for name, c in curves.items()}, marks) for score in SCORES}
        training = runs[task, TRAINERS[0]][0].training.described()
        found[task] = {**by_score["returns"], "success": by_score["success"], "training": training}
    return {
        "name": "learning",
        "overlaps": all(each["overlaps"] for each in found.values()),
        "tasks": found,
        "seeds": seeds,
        "episodes": episodes,
        "versions": versions(),
    }


def _runs(
    tasks: Sequence[str], seeds: int, updates: int | None, points: int, episodes: int, products: str
) -> dict[tuple[str, str], list[Any]]:
    """The stages of each task and trainer: one for the stack, one a seed for the reference."""
    from benchmarks.learning import LearningRun, check_arena
    from hyprepro.collect.sac.settings import SACSettings, SACTraining
    from hyprepro.domains.catalogue import domain_of

    if products not in ("float32", "bfloat16"):
        raise UserError(f"There are no products in {products!r}.", where="--products", fix="float32 or bfloat16")
    if updates is not None and updates < points:
        raise UserError(
            f"{points} points need at least as many updates, not {updates}.",
            where="--updates",
            fix=f"--updates {points}, or fewer --points",
        )
    numbers = range(seeds)
    runs: dict[tuple[str, str], list[Any]] = {}
    for task in dict.fromkeys(map(check_arena, tasks)):
        arena = domain_of([task])
        assert arena is not None  # check_arena has found it
        every = (updates or UPDATES[arena.metric.name]) // points
        plain: dict[str, Any] = {
            "critic_updates": 0,
            "updates_per_step": 1.0,
            "updates": every * points,
            "checkpoint_every": every,
        }
        stacked = SACTraining(sac=SACSettings.model_validate(SETTINGS | {"products": products}), **plain)
        reference = SACTraining(sac=SACSettings.model_validate(SETTINGS), trainer="stable-baselines3", **plain)
        runs[task, "stacked"] = [LearningRun(stacked, task, tuple(numbers), episodes)]
        runs[task, "stable-baselines3"] = [LearningRun(reference, task, (seed,), episodes) for seed in numbers]
    return runs


def _joined(stages: Sequence[Any], store: Any) -> dict[str, Any]:
    """Curves of several runs as those of one."""
    import numpy as np

    parts = [stage.load(store.path_of(stage)) for stage in stages]
    scores = {name: np.concatenate([getattr(part, name) for part in parts]) for name in SCORES}
    return {"updates": parts[0].updates, **scores}


def show(found: dict[str, Any]) -> None:
    """Two lines a task."""
    for task, each in found["tasks"].items():
        ours, peer = (
            "{:8.1f} [{:.1f}, {:.1f}]".format(*(each[name][part][-1] for part in ("mean", "low", "high")))
            for name in ("stacked", "stable-baselines3")
        )
        share = f"{sum(each['overlap'])} of {len(each['overlap'])}"
        console.line(f"{task:<16} return at the end: batched {ours}, stable-baselines3 {peer}; {share} overlap")
        mean, low, high = (each["difference"][name] for name in ("mean", "low", "high"))
        console.line(f"{'':<16} mean return over all tests, batched less other: {mean:+.1f} [{low:.1f}, {high:.1f}]")


def write(found: dict[str, Any], folder: Path) -> None:
    """`result.json`, `learning.png` and `learning.svg`.

    Raises:
        UserError: matplotlib is missing, or the folder cannot be written.
    """
    from benchmarks import learning_figure as learning
    from hyprepro.engine.stage import explain_os_error, make_folder, write_atomically
    from hyprepro.reports.figures import canvas

    canvas.require()
    files = {
        "result.json": (json.dumps(found, indent=1, sort_keys=True) + "\n").encode(),
        **learning.pictures(found["tasks"]),
    }
    try:
        make_folder(folder)
        for name, content in files.items():
            write_atomically(folder / name, content)
            console.note(f"Written: {folder / name}")
    except OSError as error:
        raise explain_os_error(error, folder) or error from error
