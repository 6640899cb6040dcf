"""Pictures of a store: success rates and distances of its policies, a panel a task; returns over a domain's number."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
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

    from hyprepro.domains.base import Domain

COLUMNS = 6


def plot_success(info: dict[str, Any], path: Path) -> None:
    """Each task's distribution of recorded success rates, one panel a task.

    Args:
        info: From `store_info` of a policy store.
        path: A new .png, .svg or .pdf file.
    """
    tasks = {task: content["histogram"] for task, content in info["tasks"].items() if content.get("histogram")}
    if not tasks:
        raise UserError(
            "The store records no success rates to plot.",
            where=str(info["path"]),
            fix=f"leave out --plot; some policies are measured by: hyprepro store verify {info['path']} --rollouts 5",
        )

    def draw(axis: Any, task: str) -> None:
        counts = tasks[task]
        axis.bar(
            [(i + 0.5) / len(counts) for i in range(len(counts))], counts, width=0.9 / len(counts), color=canvas.BLUE
        )
        axis.set_xlim(0, 1)

    _panels(path, list(tasks), draw, f"Recorded success rates, {info['digest'][:12]}")


def plot_diversity(report: list[dict[str, Any]], path: Path) -> None:
    """Each task's mean weight distances: within a run, between runs, to other tasks."""
    kinds = ("within_run", "between_runs", "to_other_tasks")
    rows = {one["task"]: [one["weights"][kind] or 0.0 for kind in kinds] for one in report}
    highest = max(max(values) for values in rows.values())

    def draw(axis: Any, task: str) -> None:
        axis.bar(["within", "between", "other"], rows[task], color=canvas.BLUE)
        axis.set_ylim(0, 1.05 * highest or 1.0)

    _panels(path, list(rows), draw, "Weight distance: within a run, between runs, to other tasks")


def _panels(path: Path, names: list[str], draw: Callable[[Any, str], None], title: str) -> None:
    canvas.require("--plot")
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise UserError("A plot is a .png, .svg or .pdf file.", where=str(path), fix="--plot success.png, .svg or .pdf")
    refuse_existing(path)
    rows = -(-len(names) // COLUMNS)
    columns = min(COLUMNS, len(names))
    with canvas.style():
        figure, axes = canvas.panels(rows, columns, 2.2 * columns + 0.4, 1.7 * rows + 0.6)
        figure.suptitle(title)
        flat = [axis for line in axes for axis in line]
        for axis, name in zip(flat, names, strict=False):
            draw(axis, name)
            axis.set_title(name, fontsize=8)
            axis.tick_params(labelsize=6)
        for axis in flat[len(names) :]:
            axis.remove()
        canvas.thin_ticks(figure)
        content = io.BytesIO()
        figure.savefig(content, format=path.suffix[1:], dpi=canvas.DPI)
    try:
        write_atomically(path, content.getvalue())
    except OSError as error:
        raise UserError(
            "The plot could not be written.",
            where=f"{path}: {error.strerror or error}",
            fix="name a file in a folder that exists and is writable",
        ) from None


_MARKED = 50
"""Checkpoints up to which each has a dot."""


def plot_returns(path: Path, plot: Path, domain: Domain | None = None) -> None:
    """One store's returns as a file.

    Args:
        path: A policy store whose tasks are told by one number.
        plot: A new .png or .svg file.
        domain: What the tasks are of; None: a domain that has them all.

    Raises:
        UserError: The file exists, has another ending, or the store has no such tasks or no returns.
    """
    refuse_existing(plot)
    if plot.suffix not in (".png", ".svg"):
        raise UserError("This plot is a .png or .svg file.", where=str(plot), fix="--plot returns.png, or .svg")
    if domain is None:
        with PolicyStore.open(path) as store:
            domain = domain_of(store.tasks, (store.layout.observation_size, store.layout.action_size))
    write_atomically(plot, draw(domain, [path], plot.stem)[plot.name])


def draw(domain: Domain | None, paths: Sequence[Path], name: str) -> dict[str, bytes]:
    """The picture of a store of experts and, if it is the second path, of the store of their folded parent.

    Args:
        domain: What the tasks are of; None: nothing known.
        paths: One store or both.
        name: The stem of the files.

    Returns:
        The contents of `name`.png and `name`.svg.
    """
    canvas.require()
    with PolicyStore.open(paths[0]) as experts:
        found = _points(domain, experts)
        curve, runs = experts.route.get("curve"), _runs(experts)
    parent = None
    if len(paths) > 1:
        with PolicyStore.open(paths[1]) as folded:
            parent, curve = _points(domain, folded), folded.route.get("curve")
    assert domain is not None  # else it would have no points
    with canvas.style():
        count = 1 + bool(curve) + (len(runs["steps"]) > 1)
        figure, (axes,) = canvas.panels(1, count, 4.4 * count, 3.4)
        _draw_points(axes.pop(0), domain, found, parent)
        if curve:
            _draw_curve(axes.pop(0), domain, curve)
        if axes:
            _draw_runs(axes.pop(0), domain, runs)
        return canvas.rendered(figure, name)


def _points(domain: Domain | None, store: PolicyStore) -> dict[str, Any]:
    """Numbers `[t]`, mean, lowest and highest return `[t]` of the stored policies, and which are for testing."""
    numbers = {task: domain.parameter(task) for task in store.tasks} if domain is not None else {}
    if not numbers or any(len(each) != 1 for each in numbers.values()):
        raise UserError(
            "The store's tasks are not told apart by one number of a known domain, and it records no success.",
            where=store.where,
            fix="name the domain with --domain FILE, or leave out --plot",
        )
    order = sorted(numbers, key=lambda task: numbers[task])
    values = [store.meta(task)["return"] for task in order]
    return {
        "number": np.array([numbers[task][0] for task in order]),
        "mean": np.array([value.mean() for value in values]),
        "low": np.array([value.min() for value in values]),
        "high": np.array([value.max() for value in values]),
        "test": np.array([bool((store.meta(task)["split"] == "test").all()) for task in order]),
    }


def _runs(store: PolicyStore) -> dict[str, Any]:
    """The steps of which every task stores a checkpoint `[k]`, and their returns, averaged by split `[k]`."""
    tables = [store.meta(task) for task in store.tasks]
    steps = reduce(np.intersect1d, [table["step"] for table in tables])
    found: dict[str, Any] = {"steps": steps}
    for split in ("train", "test"):
        rows = [_at(table, steps) for table in tables if (table["split"] == split).all()]
        if rows:
            found[split] = np.mean(rows, axis=0)
    return found


def _at(table: dict[str, Any], steps: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
    """A task's returns at given steps `[k]`, averaged over the runs that have one."""
    return np.array([table["return"][table["step"] == step].mean() for step in steps])


def _draw_points(axis: Axes, domain: Domain, experts: dict[str, Any], parent: dict[str, Any] | None) -> None:
    axis.fill_between(experts["number"], experts["low"], experts["high"], color=canvas.BLUE, alpha=0.2, linewidth=0)
    axis.plot(experts["number"], experts["mean"], color=canvas.BLUE, label="stored experts")
    test = experts["test"]
    axis.plot(experts["number"][test], experts["mean"][test], "o", color=canvas.RED, label=f"test {domain.many}")
    if parent is not None:
        axis.plot(parent["number"], parent["mean"], "--", color=canvas.GREY, label="folded parent")
    label = domain.told + (f", {domain.unit}" if domain.unit else "")
    axis.set(xlabel=label, ylabel="return", title=f"Return against {domain.told}")
    axis.legend(loc="lower left")


def _draw_curve(axis: Axes, domain: Domain, curve: dict[str, Any]) -> None:
    axis.plot(curve["updates"], np.mean(curve["returns"], axis=1), color=canvas.GREY, label="mean")
    numbers = np.ravel(curve["parameters"] if "parameters" in curve else curve["velocities"])  # until 0.1: velocities
    for place, label in ((0, f"{numbers[0]:g} {domain.unit}"), (-1, f"{numbers[-1]:g} {domain.unit}")):
        values = np.array(curve["returns"])[:, place]
        axis.plot(
            curve["updates"],
            values,
            linewidth=0.8,
            alpha=0.7,
            color=(canvas.BLUE, canvas.RED)[place],
            label=label.strip(),
        )
    axis.set(xlabel="updates", ylabel="return of one episode", title="The parent learns", yscale="symlog")
    axis.legend(loc="lower right")


def _draw_runs(axis: Axes, domain: Domain, runs: dict[str, Any]) -> None:
    for split, colour in (("train", canvas.BLUE), ("test", canvas.RED)):
        if split in runs:
            marker = "." if len(runs["steps"]) <= _MARKED else ""
            axis.plot(runs["steps"], runs[split], marker=marker, color=colour, label=f"{split} {domain.many}")
    axis.set(xlabel=f"environment steps of a {domain.told}'s own run", ylabel="mean return", title="The experts go on")
    axis.legend(loc="center right")
