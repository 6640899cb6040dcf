"""What fitting generated policies to their prompts costs: seconds and memory a prompt, each adaptation in turn."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hyprepro.api import recipe_of_rows
from hyprepro.domains.base import Data
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.schedule import execute
from hyprepro.engine.training import frozen
from hyprepro.errors import UserError
from hyprepro.experiments.choice import Choice
from hyprepro.gen_hyprl.adaptation import (
    Adaptation,
    GatedAdaptation,
    LatentAdaptation,
    PromptAdaptation,
    RestartedAdaptation,
    Start,
)
from hyprepro.gen_hyprl.autoencoder import LinearAutoencoder
from hyprepro.gen_hyprl.inverse import TurnedInverse
from hyprepro.gen_hyprl.warping import WarpedAdaptation
from hyprepro.methods.base import WeightMethod
from hyprepro.stores.prompts import Prompts

PEER = "the plain fit"
ADAPTATIONS: dict[str, Adaptation] = {
    PEER: PromptAdaptation(),
    "three starts": RestartedAdaptation(),
    "warped demonstrations": WarpedAdaptation(inverse=TurnedInverse(steps=1)),  # a longer training costs a fit no more
    "latents": LatentAdaptation(),
}
LIBRARY = 200
"""Policies for training prompts, as the ten seen tasks give."""
DRAWS = 8
"""Candidates that a generator draws for a prompt."""


def rows_of(choice: Choice) -> tuple[Data, dict[str, Adaptation]]:
    """What a recipe's rows fit to prompts, ungated, by the rows' names, beside `PEER`; and what it is trained on.

    Raises:
        UserError: No recipe of tables, or none of its rows fits anything to prompts.
    """
    recipe = recipe_of_rows(choice)
    rows: dict[str, Adaptation] = {}
    for method in recipe.methods:
        if isinstance(method, WeightMethod) and method.adaptation is not None and recipe.domain.condition == "prompt":
            fit = method.adaptation
            rows[method.name] = fit.adaptation if isinstance(fit, GatedAdaptation) else fit
    if not rows:
        raise UserError(
            f"No row of {recipe.name} fits policies to prompts.",
            where="--recipe",
            fix="for instance: --recipe judges_a",
        )
    return recipe.data(), {PEER: PromptAdaptation(), **rows}


def measure_adaptation(
    data: Data, adaptations: Mapping[str, Adaptation], task: str, prompts: int, rounds: int, cache: ArtifactCache
) -> dict[str, Any]:
    """Seconds of one processor and megabytes that each adaptation takes for a prompt, ungated.

    Policies start from stored ones of training tasks; what is fitted counts as much whatever it starts from. The
    linear decoder of latents is untrained: it costs the same. Memory is how much a process of its own grows at most
    (Linux).

    Args:
        data: The stores; what an adaptation learns beside its fits, it learns from them.
        adaptations: By their names, `PEER` among them.
        task: The task that the prompts are of.
        prompts: How many are adapted at once, as a table does with those of a task.
        rounds: Turns of each, after one that does not count.
        cache: Where that is kept.

    Returns:
        By adaptation `seconds` and `megabytes` a prompt, and `times`, its seconds in those of `PromptAdaptation`.
    """
    start, query = _start(data, task, prompts)
    learnt = {name: _learnt(adaptation, data, cache) for name, adaptation in adaptations.items()}
    taken: dict[str, list[float]] = {name: [] for name in adaptations}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for turn in range(rounds + 1):
            for name, adaptation in adaptations.items():
                seconds = _seconds(adaptation, replace(start, learnt=learnt[name]), query)
                if turn:
                    taken[name].append(seconds / prompts)
    finally:
        torch.set_num_threads(threads)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    return {
        name: {
            "seconds": round(median, 4),
            "times": round(median / medians[PEER], 2),
            "megabytes": round(_grown(data, adaptations[name], learnt[name], task, prompts) / prompts, 2),
            "rounds": [round(value, 4) for value in taken[name]],
        }
        for name, median in medians.items()
    }


def _learnt(adaptation: Adaptation, data: Data, cache: ArtifactCache) -> Any:
    """What the adaptation's own training gives, loaded; None where it has none."""
    stage = adaptation.training(data)
    return None if stage is None else stage.load(execute([stage], cache, workers=0)[stage.key])


def _start(data: Data, task: str, prompts: int) -> tuple[Start, Prompts]:
    """Stored policies to start from, and the prompts."""
    query = data.domain.query(data, task, prompts, "test")
    with data.for_training.open_policies() as store:
        seen = next(iter(data.trained()))
        stored = torch.from_numpy(store.read(seen, store.rows(seen)))
        layout = store.layout
    rows = torch.from_numpy(np.arange(max(prompts * DRAWS, LIBRARY)) % len(stored))
    decoder = frozen(LinearAutoencoder().build(layout))
    start = Start(
        layout,
        stored[rows[:prompts]],
        candidates=stored[rows[: prompts * DRAWS]].reshape(prompts, DRAWS, -1),
        library=stored[rows[:LIBRARY]],
        latents=torch.zeros(prompts, 2, LinearAutoencoder().latent_size),
        decode=decoder.decode,
        domain=data.domain,
    )
    return start, query.shown


def _seconds(adaptation: Adaptation, start: Start, prompts: Prompts) -> float:
    began = time.process_time()
    adaptation.adapt(start, prompts, torch.Generator().manual_seed(0))
    return time.process_time() - began


def _grown(data: Data, adaptation: Adaptation, learnt: Any, task: str, prompts: int) -> float:
    """Megabytes by which a process of its own grows."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_growth, (data, adaptation, learnt, task, prompts))


def _growth(data: Data, adaptation: Adaptation, learnt: Any, task: str, prompts: int) -> float:
    torch.set_num_threads(1)
    start, query = _start(data, task, prompts)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the largest size so far is forgotten
    before = _status("VmRSS")
    _seconds(adaptation, replace(start, learnt=learnt), query)
    return (_status("VmHWM") - before) / 1024


def _status(field: str) -> int:
    """A line of what Linux says of this process (KiB)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))
