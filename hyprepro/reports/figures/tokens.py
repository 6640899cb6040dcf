"""Success by number of candidate tokens L (the paper's Figure 5), and the choice of L on validation prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from hyprepro.component import component, setting
from hyprepro.errors import UserError
from hyprepro.reports import paper
from hyprepro.reports.figures import canvas
from hyprepro.reports.markdown import bullets, paragraph, printed, table, with_interval
from hyprepro.reports.notes import INTERVALS, SUCCESS, environment_gap, heading, route, run_of
from hyprepro.reports.records import csv_text
from hyprepro.reports.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METHOD = "GenHypRL"
PROTOCOLS = {"paper": (canvas.BLUE, "o"), "strict": (canvas.RED, "s")}
"""Colour and marker of each protocol."""

CSV_FIELDS = ("split", "protocol", "tokens", "value", "low", "high", "n_policies", "n_seeds", "paper")


@dataclass(frozen=True)
class Point:
    """Success with L tokens on average over a split's tasks.

    Attributes:
        tokens: L.
        row: The row of the result.
        paper: The paper's value, a fraction, under its own protocol and for its own tasks.
    """

    tokens: int
    row: Mapping[str, Any]
    paper: float | None

    @property
    def percents(self) -> tuple[float, float, float]:
        """Value and interval, in percent."""
        low, high = self.row["ci95"]
        return 100 * self.row["value"], 100 * low, 100 * high


Curves = dict[tuple[str, str], list[Point]]
"""Points by (split, protocol), in the order of L."""


@component
class TokensFigure(Report):
    """Figure 5: success against the number of candidate tokens, seen and unseen tasks, beside the paper's.

    On validation prompts the best L is marked: that is how the L of the tables is chosen. On test prompts it never is.
    """

    shows: ClassVar[str] = (
        "Success against the number of candidate tokens, a panel a split, the paper's points beside ours."
    )
    width: float = setting(8.0, "width in inches", gt=0, le=50)
    height: float = setting(3.6, "height in inches", gt=0, le=50)

    def require(self) -> None:
        canvas.require()

    def markdown(self, result: Mapping[str, Any]) -> str:
        """The curves as tables, the choice of L if it is one, and the notes."""
        config = result["provenance"]["config"]
        curves = curves_of(result)
        parts = [heading(result), paragraph(_setting(result))]
        for split in dict.fromkeys(split for split, _ in curves):
            parts += [f"## {split.capitalize()} tasks", _table(split, curves, chosen(result))]
        best = chosen(result)
        if best is not None:
            text = (
                f"Chosen: L = {best}, the highest mean on validation prompts of seen tasks; of equal ones the smallest."
            )
            parts.append(paragraph(text))
        origin = [environment_gap(result["provenance"]), route(result["provenance"])]
        parts += ["## Notes", bullets([*_notes(config, curves), SUCCESS, INTERVALS, *origin])]
        return "\n\n".join(parts) + "\n"

    def figures(self, result: Mapping[str, Any]) -> dict[str, bytes]:
        name = str(result["recipe"])
        return {**self._drawn(result, name), f"{name}.csv": points_csv(result).encode()}

    def _drawn(self, result: Mapping[str, Any], name: str) -> dict[str, bytes]:
        curves, best = curves_of(result), chosen(result)
        splits = list(dict.fromkeys(split for split, _ in curves))
        with canvas.style():
            figure, axes = canvas.panels(1, len(splits), self.width, self.height, sharey=True)
            for split, panel in zip(splits, axes[0], strict=True):
                for protocol in PROTOCOLS:
                    if (split, protocol) in curves:
                        _draw(panel, protocol, curves[split, protocol])
                _finish(panel, split, sorted({p.tokens for (of, _), ps in curves.items() if of == split for p in ps}))
                if best is not None:
                    panel.axvline(best, color=canvas.GREY, linewidth=1, linestyle=":", label=f"chosen: L = {best}")
            axes[0][0].set_ylabel("success, %")
            handles, labels = axes[0][0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
            return canvas.rendered(figure, name)


def curves_of(result: Mapping[str, Any]) -> Curves:
    """The averages of a result by number of tokens.

    Raises:
        UserError: The result has no averages of Gen-HypRL.
    """
    tokens = {
        method["row"] or "gen-hyprl": method["candidates"] or method["hypformer"]["candidates"]
        for method in result["provenance"]["config"]["methods"]
        if method.get("component") == METHOD
    }
    found: Curves = {}
    for row in result["rows"]:
        if row["method"] in tokens and row["task"] is None and row["statistic"] == "mean":
            count = tokens[row["method"]]
            point = Point(count, row, _papers(result, row, count))
            found.setdefault((row["split"], row["protocol"]), []).append(point)
    if not found:
        raise UserError("The result has no numbers of Gen-HypRL by number of tokens.", fix="hyprepro run figure5")
    return {key: sorted(points, key=lambda point: point.tokens) for key, points in found.items()}


def chosen(result: Mapping[str, Any]) -> int | None:
    """The L of the highest mean on validation prompts of seen tasks, the smallest of equal ones; None on test prompts.

    Where there are several protocols the last one decides, which is the strict one if there is one.
    """
    curves = curves_of(result)
    if result["provenance"]["config"]["prompt_split"] != "validation":
        return None
    points = next((curves["seen", name] for name in reversed(PROTOCOLS) if ("seen", name) in curves), [])
    best = max((point.row["value"] for point in points), default=None)
    return next((point.tokens for point in points if point.row["value"] == best), None)


def points_csv(result: Mapping[str, Any]) -> str:
    """All points as CSV, fractions as in the result."""
    rows = []
    for (split, protocol), points in curves_of(result).items():
        for point in points:
            row, sizes = point.row, (point.row["n_policies"], point.row["n_seeds"])
            rows.append([split, protocol, point.tokens, row["value"], *row["ci95"], *sizes, point.paper])
    return csv_text(CSV_FIELDS, rows)


def _papers(result: Mapping[str, Any], row: Mapping[str, Any], tokens: int) -> float | None:
    """The paper's point: for its own tasks, test prompts and protocol alone."""
    config, split = result["provenance"]["config"], row["split"]
    is_theirs = row["protocol"] == "paper" and config["prompt_split"] == "test" and split in paper.SPLIT_TABLES
    if not is_theirs or set(config[split]) != set(paper.per_task(split).tasks):
        return None
    rates = {point["tokens"]: point[split] for point in paper.load("figure5")["rows"]}
    return rates.get(tokens)


def _draw(panel: Axes, protocol: str, points: Sequence[Point]) -> None:
    colour, marker = PROTOCOLS[protocol]
    tokens = [point.tokens for point in points]
    values, lows, highs = zip(*(point.percents for point in points), strict=True)
    panel.fill_between(tokens, lows, highs, color=colour, alpha=0.18, linewidth=0)
    panel.plot(tokens, values, color=colour, marker=marker, markersize=5, label=f"ours, {protocol} protocol")
    theirs = [(point.tokens, 100 * point.paper) for point in points if point.paper is not None]
    if theirs:
        x, y = zip(*theirs, strict=True)
        (line,) = panel.plot(x, y, "o--", color=canvas.GREY, markersize=5, label="paper, read off its image")
        line.set_markerfacecolor("white")


def _finish(panel: Axes, split: str, tokens: Sequence[int]) -> None:
    panel.set_title(f"{split} tasks")
    panel.set_xscale("log", base=2)
    panel.set_xticks(tokens, [str(count) for count in tokens])
    panel.minorticks_off()
    panel.set_xlabel("candidate tokens L")
    panel.set_ylim(0, 105)


def _table(split: str, curves: Curves, best: int | None) -> str:
    protocols = [name for name in PROTOCOLS if (split, name) in curves]
    by_tokens = {name: {point.tokens: point for point in curves[split, name]} for name in protocols}
    has_paper = any(point.paper is not None for name in protocols for point in curves[split, name])
    rows = []
    for tokens in by_tokens[protocols[0]]:
        points = [by_tokens[name][tokens] for name in protocols]
        theirs = next((point.paper for point in points if point.paper is not None), None)
        name = f"**{tokens}** (chosen)" if tokens == best else str(tokens)
        papers = [printed(theirs)] if has_paper else []
        rows.append([name, *papers, *(with_interval(point.row) for point in points)])
    heads = ["paper"] if has_paper else []
    return table(["tokens L", *heads, *(f"ours, {name} protocol" for name in protocols)], rows)


def _setting(result: Mapping[str, Any]) -> str:
    row = next(iter(curves_of(result).values()))[0].row
    config = result["provenance"]["config"]
    return (
        f"Success rates in percent by number of candidate latents that HypFormer aggregates. {run_of(result)}. "
        f"Generator seeds: {row['n_seeds']}; {config['prompt_split']} prompts a task: {config['prompts_per_task']}."
    )


def _notes(config: Mapping[str, Any], curves: Curves) -> list[str]:
    methods = [method for method in config["methods"] if method["component"] == METHOD]
    trained = sorted({method["hypformer"]["candidates"] for method in methods})
    retrained = all(method["retrained"] for method in methods)
    how = "with each L anew" if retrained else f"with {', '.join(map(str, trained))} tokens, and deployed with each L"
    found = [f"HypFormer was trained {how}. The paper trains it with 8 and does not say whether other L were trained."]
    if any(point.paper is not None for points in curves.values() for point in points):
        found.append("The paper's points are read off its Figure 5, which prints no numbers.")
    return found
