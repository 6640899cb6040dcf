"""Performance profiles as a picture: a panel a split, a curve a method, its pointwise 95% interval as a band."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METADATA: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
"""Without dates and versions, so that equal results give equal bytes."""


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def pictures(profiles: Sequence[Mapping[str, Any]], name: str) -> dict[str, bytes]:
    """`name`.png and `name`.svg of a result's profiles."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    splits = list(dict.fromkeys(profile["split"] for profile in profiles))
    methods = list(dict.fromkeys(profile["method"] for profile in profiles))
    if not splits:
        return {}
    with rc_context({"svg.hashsalt": "hyprepro", "svg.fonttype": "none"}):
        figure = Figure(figsize=(5 * len(splits), 3.6), layout="constrained")
        axes = figure.subplots(1, len(splits), squeeze=False, sharey=True)[0]
        for panel, split in zip(axes, splits, strict=True):
            _draw(panel, split, methods, [profile for profile in profiles if profile["split"] == split])
        axes[0].set_ylabel("share of runs x tasks above it")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
        found = {}
        for kind, metadata in METADATA.items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=120, metadata=metadata)
            found[f"{name}.{kind}"] = buffer.getvalue()
    return found


def _draw(panel: Axes, split: str, methods: Sequence[str], profiles: Sequence[Mapping[str, Any]]) -> None:
    for profile in profiles:
        colour = f"C{methods.index(profile['method'])}"
        taus = [100 * tau for tau in profile["taus"]]
        panel.step(taus, profile["share"], where="post", color=colour, label=profile["method"])
        panel.fill_between(taus, profile["low"], profile["high"], step="post", color=colour, alpha=0.15, linewidth=0)
    panel.set(
        title=f"{split} tasks", xlabel=f"success rate, % ({profiles[0]['protocol']} protocol)", ylim=(-0.02, 1.02)
    )
