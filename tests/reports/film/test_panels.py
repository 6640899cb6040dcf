"""Pictures in a grid with words below them."""

from __future__ import annotations

import numpy as np
import pytest

from hyprepro.reports.film.panels import Panel, compose, fitted


def plain(colour: int, width: int = 64, height: int = 48) -> np.ndarray:
    return np.full((height, width, 3), (colour, 0, 0), dtype=np.uint8)


def area(whole: np.ndarray, colour: int) -> np.ndarray:
    """Where a plain picture is `[n, 2]`."""
    return np.argwhere((whole == (colour, 0, 0)).all(axis=2))


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (4, 2), (5, 3), (3, 3)])
def test_every_picture_stands_in_its_place(count: int, columns: int) -> None:
    panels = [Panel(plain(100 + number), ("task", "method")) for number in range(count)]
    whole = compose(panels, columns, 64, 48)
    assert whole.shape[0] % 2 == whole.shape[1] % 2 == 0
    tops, lefts = (np.unique([area(whole, 100 + number)[0][axis] for number in range(count)]) for axis in (0, 1))
    assert (len(tops), len(lefts)) == (-(-count // columns), min(count, columns))
    for number in range(count):
        assert len(area(whole, 100 + number)) == 64 * 48


def test_words_are_written_below_and_change_with_what_they_say() -> None:
    one, same, other = (compose([Panel(plain(0), (words,))], 1, 64, 48) for words in ("step 1", "step 1", "step 2"))
    assert np.array_equal(one, same)
    changed = np.argwhere((one != other).any(axis=2))
    assert len(changed)
    assert changed[:, 0].min() > 48


def test_a_place_without_a_picture_is_plain() -> None:
    whole = compose([Panel(None, ("none stored",)), Panel(plain(7), ("there",))], 2, 64, 48)
    assert len(np.unique(whole[10:40, 10:60])) == 1
    assert len(area(whole, 7)) == 64 * 48


def test_words_that_are_too_long_end_in_dots() -> None:
    assert fitted("reach", 200) == "reach"
    short = fitted("a name that no picture is wide enough for", 80)
    assert short.endswith("...")
    assert len(short) < 20
