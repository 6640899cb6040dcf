"""Experts of Cheetah-Vel as a picture: return against velocity, and the learning curves that a store records."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hyprepro.domains.catalogue import domain_of
from hyprepro.engine.stage import write_atomically
from hyprepro.errors import UserError
from hyprepro.reports.figures import canvas
from hyprepro.stores.exchange.foreign import refuse_existing
from hyprepro.stores.policy_store import PolicyStore

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKED = 50
"""Checkpoints up to which each has a dot."""


def plot_returns(path: Path, plot: Path) -> None:
    """One store's returns as a file.

    Args:
        path: A policy store whose tasks are velocities.
        plot: A new .png or .svg file.

    Raises:
        UserError: The file exists, has another ending, or the store has no velocities or no returns.
    """
    refuse_existing(plot)
    if plot.suffix not in (".png", ".svg"):
        raise UserError("This plot is a .png or .svg file.", where=str(plot), fix="--plot returns.png, or .svg")
    write_atomically(plot, draw([path], plot.stem)[plot.name])


def draw(paths: Sequence[Path], name: str) -> dict[str, bytes]:
    """The picture of a store of experts and, if it is the second path, of the store of their folded parent.

    Returns:
        The contents of `name`.png and `name`.svg.
    """
    canvas.require()
    with PolicyStore.open(paths[0]) as experts:
        found = _points(experts)
        curve, runs = experts.route.get("curve"), _runs(experts)
    parent = None
    if len(paths) > 1:
        with PolicyStore.open(paths[1]) as folded:
            parent, curve = _points(folded), folded.route.get("curve")
    with canvas.style():
        count = 1 + bool(curve) + (len(runs["steps"]) > 1)
        figure, (axes,) = canvas.panels(1, count, 4.4 * count, 3.4)
        _draw_points(axes.pop(0), found, parent)
        if curve:
            _draw_curve(axes.pop(0), curve)
        if axes:
            _draw_runs(axes.pop(0), runs)
        return canvas.rendered(figure, name)


def _points(store: PolicyStore) -> dict[str, Any]:
    """Velocities `[v]`, mean, lowest and highest return `[v]` of the stored policies, and which are for testing."""
    domain = domain_of(store.tasks, (store.layout.observation_size, store.layout.action_size))
    numbers = {task: domain.parameter(task) for task in store.tasks} if domain is not None else {}
    if not numbers or any(len(each) != 1 for each in numbers.values()):
        raise UserError(
            "The store's tasks are no velocities, and it records no success.",
            where=store.where,
            fix="name a store whose tasks are told apart by one number; this one is shown without --plot",
        )
    order = sorted(numbers, key=lambda task: numbers[task])
    values = [store.meta(task)["return"] for task in order]
    return {
        "velocity": np.array([numbers[task][0] for task in order]),
        "mean": np.array([value.mean() for value in values]),
        "low": np.array([value.min() for value in values]),
        "high": np.array([value.max() for value in values]),
        "test": np.array([bool((store.meta(task)["split"] == "test").all()) for task in order]),
    }


def _runs(store: PolicyStore) -> dict[str, Any]:
    """The steps of which every velocity stores a checkpoint `[k]`, and their returns, averaged by split `[k]`."""
    tables = [store.meta(task) for task in store.tasks]
    steps = reduce(np.intersect1d, [table["step"] for table in tables])
    found: dict[str, Any] = {"steps": steps}
    for split in ("train", "test"):
        rows = [_at(table, steps) for table in tables if (table["split"] == split).all()]
        if rows:
            found[split] = np.mean(rows, axis=0)
    return found


def _at(table: dict[str, Any], steps: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
    """A velocity's returns at given steps `[k]`, averaged over the runs that have one."""
    return np.array([table["return"][table["step"] == step].mean() for step in steps])


def _draw_points(axis: Axes, experts: dict[str, Any], parent: dict[str, Any] | None) -> None:
    axis.fill_between(experts["velocity"], experts["low"], experts["high"], color=canvas.BLUE, alpha=0.2, linewidth=0)
    axis.plot(experts["velocity"], experts["mean"], color=canvas.BLUE, label="stored experts")
    test = experts["test"]
    axis.plot(experts["velocity"][test], experts["mean"][test], "o", color=canvas.RED, label="test velocities")
    if parent is not None:
        axis.plot(parent["velocity"], parent["mean"], "--", color=canvas.GREY, label="folded parent")
    axis.set(xlabel="target velocity, m/s", ylabel="return", title="Return against velocity")
    axis.legend(loc="lower left")


def _draw_curve(axis: Axes, curve: dict[str, Any]) -> None:
    axis.plot(curve["updates"], np.mean(curve["returns"], axis=1), color=canvas.GREY, label="mean")
    highest = curve["velocities"][-1]
    for place, label in ((0, f"{curve['velocities'][0]:g} m/s"), (-1, f"{highest:g} m/s")):
        values = np.array(curve["returns"])[:, place]
        axis.plot(
            curve["updates"], values, linewidth=0.8, alpha=0.7, color=(canvas.BLUE, canvas.RED)[place], label=label
        )
    axis.set(xlabel="updates", ylabel="return of one episode", title="The parent learns", yscale="symlog")
    axis.legend(loc="lower right")


def _draw_runs(axis: Axes, runs: dict[str, Any]) -> None:
    for split, colour in (("train", canvas.BLUE), ("test", canvas.RED)):
        if split in runs:
            marker = "." if len(runs["steps"]) <= _MARKED else ""
            axis.plot(runs["steps"], runs[split], marker=marker, color=colour, label=f"{split} velocities")
    axis.set(xlabel="environment steps of a velocity's own run", ylabel="mean return", title="The experts go on")
    axis.legend(loc="center right")
