"""What fitting generated policies to their prompts costs: seconds and memory a prompt, each adaptation in turn."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hyprepro.domains.base import Domain
from hyprepro.engine.training import frozen
from hyprepro.gen_hyprl.adaptation import Adaptation, LatentAdaptation, PromptAdaptation, RestartedAdaptation, Start
from hyprepro.gen_hyprl.autoencoder import LinearAutoencoder
from hyprepro.gen_hyprl.warping import WarpedAdaptation
from hyprepro.stores.prompts import Prompts

PEER = "the prompt alone"
ADAPTATIONS: dict[str, Adaptation] = {
    PEER: PromptAdaptation(),
    "three starts": RestartedAdaptation(),
    "warped demonstrations": WarpedAdaptation(),
    "latents": LatentAdaptation(),
}
LIBRARY = 200
"""Policies for training prompts, as the ten seen tasks give."""


def measure_adaptation(domain: Domain, task: str, prompts: int, rounds: int) -> dict[str, Any]:
    """Seconds of one processor and megabytes that each adaptation takes for a prompt, ungated.

    Policies start from stored ones of training tasks; what is fitted counts as much whatever it starts from. The
    inverse model and the linear decoder of latents are untrained: they cost the same. Memory is how much a process of
    its own grows at most (Linux).

    Args:
        domain: What the task is of.
        task: The task that the prompts are of.
        prompts: How many are adapted at once, as a table does with those of a task.
        rounds: Turns of each, after one that does not count.

    Returns:
        By adaptation `seconds` and `megabytes` a prompt, and `times`, its seconds in those of `PromptAdaptation`.
    """
    start, query = _start(domain, task, prompts)
    taken: dict[str, list[float]] = {name: [] for name in ADAPTATIONS}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for turn in range(rounds + 1):
            for name, adaptation in ADAPTATIONS.items():
                seconds = _seconds(adaptation, start, query)
                if turn:
                    taken[name].append(seconds / prompts)
    finally:
        torch.set_num_threads(threads)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    return {
        name: {
            "seconds": round(median, 4),
            "times": round(median / medians[PEER], 2),
            "megabytes": round(_grown(domain, task, prompts, name) / prompts, 2),
            "rounds": [round(value, 4) for value in taken[name]],
        }
        for name, median in medians.items()
    }


def _start(domain: Domain, task: str, prompts: int) -> tuple[Start, Prompts]:
    """Stored policies to start from, and the prompts."""
    data = domain.data()
    query = domain.query(data, task, prompts, "test")
    with data.for_training.open_policies() as store:
        seen = store.tasks[0]
        stored = torch.from_numpy(store.read(seen, store.rows(seen)))
        layout = store.layout
    rows = torch.from_numpy(np.arange(max(prompts, LIBRARY)) % len(stored))
    inverse = frozen(WarpedAdaptation().inverse.build(layout.action_size))
    decoder = frozen(LinearAutoencoder().build(layout))
    start = Start(
        layout,
        stored[rows[:prompts]],
        library=stored[rows[:LIBRARY]],
        latents=torch.zeros(prompts, 2, LinearAutoencoder().latent_size),
        decode=decoder.decode,
        domain=domain,
        learnt=inverse,
    )
    return start, query.shown


def _seconds(adaptation: Adaptation, start: Start, prompts: Prompts) -> float:
    began = time.process_time()
    adaptation.adapt(start, prompts, torch.Generator().manual_seed(0))
    return time.process_time() - began


def _grown(domain: Domain, task: str, prompts: int, name: str) -> float:
    """Megabytes by which a process of its own grows."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_growth, (domain, task, prompts, name))


def _growth(domain: Domain, task: str, prompts: int, name: str) -> float:
    torch.set_num_threads(1)
    start, query = _start(domain, task, prompts)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the largest size so far is forgotten
    before = _status("VmRSS")
    _seconds(ADAPTATIONS[name], start, query)
    return (_status("VmHWM") - before) / 1024


def _status(field: str) -> int:
    """A line of what Linux says of this process (KiB)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))
