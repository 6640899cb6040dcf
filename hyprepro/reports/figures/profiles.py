"""Performance profiles as small multiples: a panel a method, a curve a split with its pointwise 95% interval as a band.

A dozen methods in one panel cannot be told apart, by colour or otherwise. So each has a panel of its own, with
Gen-HypRL's curves in grey behind it to be compared with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hyprepro.reports.figures.canvas import BLUE, GREY, RED, panels, rendered, style
from hyprepro.reports.summary import MAIN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Profile = Mapping[str, Any]

LINES = {"seen": (BLUE, "-"), "unseen": (RED, "--")}
"""Colour and line of each split: they differ in both, so that neither is needed to tell them apart."""
COLUMNS = 4
BEHIND = "#B3B3B3"
APART = 0.1
"""Gap of two curves, as a share of runs x tasks, from which on a label cannot be taken for the other's."""
SHORTEST = 5
"""Points of a level stretch up to which it is shorter than a label."""
LOW = 0.15
"""Height of a curve below which there is no room under it."""


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def pictures(profiles: Sequence[Profile], name: str, main: str = MAIN) -> dict[str, bytes]:
    """`name`.png and `name`.svg of a result's profiles.

    Args:
        profiles: Of result.json.
        name: Of the files, without suffix.
        main: The method that stands in grey behind all others.
    """
    methods = list(dict.fromkeys(profile["method"] for profile in profiles))
    if not methods:
        return {}
    found = {method: [profile for profile in profiles if profile["method"] == method] for method in methods}
    columns = min(COLUMNS, len(methods))
    rows = -(-len(methods) // columns)
    with style():
        figure, axes = panels(rows, columns, 2.7 * columns, 2.0 * rows + 0.7, sharey=True, sharex=True)
        flat = [panel for line in axes for panel in line]
        for method, panel in zip(methods, flat, strict=False):
            _draw(panel, method, found[method], [] if method == main else found.get(main, []))
        for panel in flat[len(methods) :]:
            panel.remove()
        for panel in flat[max(len(methods) - columns, 0) : len(methods)]:  # the lowest of each column
            panel.xaxis.set_tick_params(labelbottom=True)
        for panel in flat[columns * (rows - 1) : len(methods)]:
            panel.set_xlabel("success rate, %")
        figure.supylabel(f"share of runs x tasks above it ({profiles[0]['protocol']} protocol)", fontsize=10)
        if main in methods and len(methods) > 1:
            behind = flat[next(number for number, method in enumerate(methods) if method != main)]
            handles = [line for line in behind.get_lines() if line.get_color() == BEHIND]
            labels = [f"{main}, {profile['split']} tasks" for profile in found[main]]
            figure.legend(handles, labels, loc="outside lower center", ncols=len(handles))
        return rendered(figure, name)


def _draw(panel: Axes, method: str, own: Sequence[Profile], behind: Sequence[Profile]) -> None:
    panel.set_title(method, loc="left", fontsize=10)
    panel.set(xlim=(-2, 102), ylim=(-0.14, 1.18), xticks=[0, 25, 50, 75, 100], yticks=[0, 0.5, 1])
    for profile in behind:
        _, line = LINES.get(profile["split"], (GREY, ":"))
        panel.step(_percents(profile), profile["share"], where="post", color=BEHIND, linestyle=line, linewidth=1.2)
    for profile in own:
        colour, line = LINES.get(profile["split"], (GREY, ":"))
        percents = _percents(profile)
        panel.fill_between(percents, profile["low"], profile["high"], step="post", color=colour, alpha=0.2, linewidth=0)
        panel.step(percents, profile["share"], where="post", color=colour, linestyle=line, linewidth=1.8)
    _label(panel, own)


def _percents(profile: Profile) -> list[float]:
    return [100 * tau for tau in profile["taus"]]


def _label(panel: Axes, own: Sequence[Profile]) -> None:
    """Each curve's split beside its longest level stretch away from the other curve; equal curves share a label."""
    shares = np.array([profile["share"] for profile in own])
    apart = np.ptp(shares, axis=0) > APART if len(own) > 1 else np.ones(shares.shape[1], dtype=bool)
    stretches = [_level(share, apart) for share in shares]
    if not all(stretches):
        names = ", ".join(str(profile["split"]) for profile in own)
        _write(panel, names, 50.0, float(shares[:, shares.shape[1] // 2].max()), GREY, is_above=True)
        return
    for profile, share, stretch in zip(own, shares, stretches, strict=True):
        place = (stretch.start + stretch.stop - 1) // 2
        is_upper = bool(share[place] == shares[:, place].max())
        colour, _ = LINES.get(profile["split"], (GREY, ":"))
        is_above = is_upper or bool(share[place] < LOW)
        _write(panel, profile["split"], _percents(profile)[place], float(share[place]), colour, is_above)


def _level(share: NDArray[np.float64], allowed: NDArray[np.bool_]) -> range:
    """The longest stretch of points with one value, all of them allowed; empty if there is no long one."""
    best, start = range(0), 0
    for end in range(1, len(share) + 1):
        if end == len(share) or share[end] != share[start] or allowed[end] != allowed[start]:
            if allowed[start] and end - start > max(len(best), SHORTEST):
                best = range(start, end)
            start = end
    return best


def _write(panel: Axes, text: str, x: float, y: float, colour: str, is_above: bool) -> None:
    place, side = ((0, 2), "bottom") if is_above else ((0, -3), "top")
    panel.annotate(text, (x, y), place, textcoords="offset points", color=colour, fontsize=9, ha="center", va=side)
