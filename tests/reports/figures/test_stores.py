"""Pictures of a store: a panel a task in the style of all figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hyprepro.errors import UserError
from hyprepro.reports.figures import canvas
from hyprepro.reports.figures.stores import plot_diversity, plot_success
from tests.reports.figures.test_tokens import svg_texts

pytest.importorskip("matplotlib")

KINDS = ("within_run", "between_runs", "to_other_tasks")


def info(tasks: int) -> dict[str, Any]:
    """What `store_info` finds of a store with so many tasks."""
    found = {f"task-{number}": {"histogram": [0] * 19 + [number + 1]} for number in range(tasks)}
    return {"path": "a.h5", "digest": "d" * 64, "tasks": found}


@pytest.mark.parametrize("tasks", [1, 6, 7])
def test_every_task_has_a_panel_in_the_style_of_all_figures(tmp_path: Path, tasks: int) -> None:
    plot_success(info(tasks), tmp_path / "s.svg")
    svg = (tmp_path / "s.svg").read_bytes()
    assert set(info(tasks)["tasks"]) <= svg_texts(svg)
    assert svg.decode().count('id="axes_') == tasks
    assert canvas.BLUE.lower() in svg.decode()


def test_distances_of_every_kind_are_drawn(tmp_path: Path) -> None:
    report = [{"task": "reach", "weights": dict.fromkeys(KINDS, 0.5)}, {"task": "all", "weights": dict.fromkeys(KINDS)}]
    plot_diversity(report, tmp_path / "d.svg")
    assert {"reach", "all", "within", "between", "other"} <= svg_texts((tmp_path / "d.svg").read_bytes())


def test_the_ending_says_the_format(tmp_path: Path) -> None:
    for ending, start in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
        plot_success(info(2), tmp_path / f"s.{ending}")
        assert (tmp_path / f"s.{ending}").read_bytes().startswith(start)
    with pytest.raises(UserError, match=r"\.png, \.svg or \.pdf"):
        plot_success(info(2), tmp_path / "s.txt")


def test_a_store_without_success_rates_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no success rates"):
        plot_success(info(0), tmp_path / "s.png")


def test_without_matplotlib_the_flag_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="Figures need matplotlib") as caught:
        plot_success(info(1), tmp_path / "s.png")
    assert caught.value.where == "--plot"
