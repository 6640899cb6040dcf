"""What every figure shares: labels that do not touch, and the same bytes for the same numbers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from hyprepro.reports.figures import canvas

pytest.importorskip("matplotlib")

WIDE = [(-1.953, -1.862), (240_000, 560_000), (0, 1), (-7.5, -7.1), (1e-7, 3.1e-6)]


def drawn(limits: tuple[float, float], width: float) -> tuple[Any, Any]:
    """A panel of a given width in inches whose x axis has these limits."""
    figure, axes = canvas.panels(1, 1, width, 2.0)
    axes[0][0].plot(limits, [0, 1])
    axes[0][0].locator_params(nbins=9)
    return figure, axes[0][0]


@pytest.mark.parametrize("limits", WIDE)
@pytest.mark.parametrize("width", [1.8, 2.6, 5.0])
def test_labels_below_an_axis_do_not_touch(limits: tuple[float, float], width: float) -> None:
    with canvas.style():
        figure, panel = drawn(limits, width)
        before = canvas.label_boxes(figure, panel)
        canvas.thin_ticks(figure)
        after = canvas.label_boxes(figure, panel)
    assert 1 <= len(after) <= len(before)
    assert all(right < left for (_, right), (left, _) in pairwise(after))


def test_ticks_that_fit_stay_as_they_are() -> None:
    with canvas.style():
        figure, panel = drawn((0, 1), 8.0)
        before = canvas.label_boxes(figure, panel)
        canvas.thin_ticks(figure)
        assert canvas.label_boxes(figure, panel) == before


def test_every_rendered_figure_has_its_ticks_thinned() -> None:
    with canvas.style():
        figure, panel = drawn((240_000, 560_000), 2.6)
        boxes = canvas.label_boxes(figure, panel)
        assert any(right > left for (_, right), (left, _) in pairwise(boxes)), "else this test shows nothing"
        files = canvas.rendered(figure, "one")
        after = canvas.label_boxes(figure, panel)
        again = canvas.rendered(drawn((240_000, 560_000), 2.6)[0], "one")
    assert all(right < left for (_, right), (left, _) in pairwise(after))
    assert files == again


def test_ticks_that_a_figure_chose_itself_are_left_to_it() -> None:
    with canvas.style():
        figure, panel = drawn((0, 1), 1.5)
        panel.set_xticks([0, 0.001, 1], ["none", "nearly none", "all"])
        canvas.thin_ticks(figure)
        assert len(canvas.label_boxes(figure, panel)) == 3
