"""Predicted beside true latents in two principal coordinates (the paper's Figure 4), and their distances as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hyprepro.component import component, setting
from hyprepro.reports.figures import canvas
from hyprepro.reports.latents import LATENTS, STATISTICS, TRUE, LatentRecord, read_latents
from hyprepro.reports.markdown import bullets, paragraph, table, with_interval
from hyprepro.reports.notes import heading, route, run_of
from hyprepro.reports.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = {"gen-hyprl-wo-hypformer": "HypLatent", "gen-hyprl": "HypFormer"}
"""What the paper calls the methods in its figure."""

MEANINGS = {
    "own": "mean distance of a predicted latent to the true latent of its own prompt",
    "nearest": "mean distance of a predicted latent to the nearest true latent of the task",
    "centroid": "distance between the means of predicted and of true latents",
    "energy": "energy distance between the two clouds, 2 E|X - Y| - E|X - X'| - E|Y - Y'|; 0 if they are equal",
}


@component
class LatentsFigure(Report):
    """Figure 4: predicted latents in red, true ones in blue, a row of panels a method and a column a task."""

    shows: ClassVar[str] = "Predicted latents in red, true ones in blue, in two principal coordinates: a row a method."
    width: float = setting(8.0, "width in inches", gt=0, le=50)
    height: float = setting(5.2, "height in inches", gt=0, le=50)
    seed: int = setting(0, "the generator seed that is drawn; the numbers are over all", ge=0)

    def require(self) -> None:
        canvas.require()

    def files(self, result: Mapping[str, Any], folder: Path) -> dict[str, bytes]:
        """The table, and the picture as PNG and SVG, drawn from the records."""
        return {**super().files(result, folder), **self.drawn(result, read_latents(folder / LATENTS))}

    def markdown(self, result: Mapping[str, Any]) -> str:
        """The distances as tables, and the notes."""
        config = result["provenance"]["config"]
        rows = {(row["method"], row["task"], row["statistic"]): row for row in result["rows"]}
        gains = {(row["minus"], row["task"], row["statistic"]): row for row in result["comparisons"]}
        methods, tasks = _methods(result), [*config["tasks"], None]
        parts = [heading(result), paragraph(_setting(result))]
        for statistic in STATISTICS:
            others = list(dict.fromkeys(minus for minus, _, _ in gains))
            lines = [
                [
                    task or f"**average of {len(tasks) - 1}**",
                    *(with_interval(rows.get((method, task, statistic))) for method in methods),
                    *(with_interval(gains.get((method, task, statistic)), "+") for method in others),
                ]
                for task in tasks
            ]
            heads = [_name(method) for method in methods] + [f"HypFormer minus {_name(method)}" for method in others]
            parts += [f"## {statistic}: {MEANINGS[statistic]}", table(["task", *heads], lines)]
        return "\n\n".join([*parts, "## Notes", bullets(_notes(result))]) + "\n"

    def drawn(self, result: Mapping[str, Any], records: Sequence[LatentRecord]) -> dict[str, bytes]:
        """The picture as PNG and SVG."""
        tasks, methods = list(result["provenance"]["config"]["tasks"]), _methods(result)
        own = {(row["method"], row["task"]): row["value"] for row in result["rows"] if row["statistic"] == "own"}
        axis_names = [f"PC {number} ({share:.0%})" for number, share in enumerate(_shares(records), start=1)]
        with canvas.style():
            figure, axes = canvas.panels(len(methods), len(tasks), self.width, self.height, sharex="col", sharey="col")
            for method, line in zip(methods, axes, strict=True):
                for task, panel in zip(tasks, line, strict=True):
                    _scatter(panel, records, method, task, self.seed)
                    note = f"distance {own[method, task]:.2f}"
                    panel.set_title(note, loc="right", fontsize=9, color=canvas.GREY)
                line[0].set_ylabel(f"{_name(method)}\n{axis_names[1]}")
            for task, top, bottom in zip(tasks, axes[0], axes[-1], strict=True):
                top.set_title(task, loc="left")
                bottom.set_xlabel(axis_names[0])
            handles, labels = axes[0][0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=2)
            return canvas.rendered(figure, str(result["recipe"]))


def _scatter(panel: Axes, records: Sequence[LatentRecord], method: str, task: str, seed: int) -> None:
    """True latents as large blue discs under small red crosses, as prompts of one policy share a true latent."""
    layers = ((TRUE, 0, canvas.BLUE, "o", 42, "true latents"), (method, seed, canvas.RED, "x", 16, "predicted latents"))
    for name, number, colour, marker, size, label in layers:
        points = [r.at[:2] for r in records if (r.method, r.seed, r.task) == (name, number, task)]
        x, y = zip(*points, strict=True)
        panel.locator_params(nbins=4)
        panel.scatter(x, y, s=size, c=colour, marker=marker, linewidths=0.9, alpha=0.75, label=label)


def _shares(records: Sequence[LatentRecord]) -> list[float]:
    """The share of the true latents' variance, over all tasks, that each of the first two coordinates holds."""
    true = [record for record in records if record.method == TRUE]
    total = sum(record.outside**2 + sum(value**2 for value in record.at) for record in true)
    return [sum(record.at[axis] ** 2 for record in true) / total if total else 0.0 for axis in range(2)]


def _methods(result: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(row["method"] for row in result["rows"]))


def _name(method: str) -> str:
    return NAMES.get(method, method)


def _setting(result: Mapping[str, Any]) -> str:
    config, row = result["provenance"]["config"], result["rows"][0]
    prompts = f"{config['prompt_split'].capitalize()} prompts a task: {config['prompts_per_task']}"
    return (
        f"{prompts}; generator seeds: {row['n_seeds']}. {run_of(result)}. All distances are relative to the "
        "spread of the task's true latents (root mean squared distance to their mean): 0 is perfect, and whoever "
        "always predicts their mean has an own distance of at most 1. Lower is better."
    )


def _truth(split: str) -> str:
    whose = {
        "test": "They come from SAC runs that nothing was trained on, so a generator that reproduces training policies "
        "is off by what lies between the runs of a task.",
        "validation": "In the bundled stores these are training policies; the prompts were held out.",
    }
    return (
        f"True latents: encodings of the policies that recorded the {split} prompts. {whose[split]} Prompts of one "
        "policy have one true latent, so there are fewer blue points than prompts."
    )


def _notes(result: Mapping[str, Any]) -> list[str]:
    config = result["provenance"]["config"]
    return [
        "HypLatent: one draw of the generator a prompt (Gen-HypRL without HypFormer). HypFormer: all three stages.",
        _truth(config["prompt_split"]),
        "The paper leaves open what its components are fitted on: here on the true latents of all tasks together. The "
        "picture shows the first two with their shares of the variance, and as `distance` the mean own distance; its "
        f"predicted latents are of generator seed {config['report']['seed']}. Centroid and energy distance are "
        f"taken in the first {config['components']} (or as many as vary), own and nearest distance in all dimensions.",
        "Intervals: 95%, bootstrap over generator seeds (jointly for all tasks) and prompts (within each task), "
        "shifted to have the value as their mean; differences are paired. The paper gives no numbers for its Figure 4.",
        route(result["provenance"]),
    ]
