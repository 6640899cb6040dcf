"""Rows of returns: known values, paired differences, intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from hyprepro.reports.paper import average_return
from hyprepro.reports.summary import summarise
from tests.cheetah_stores import velocity_task
from tests.reports.velocities import TESTED, records


def row(rows: Sequence[Mapping[str, object]], **wanted: object) -> Mapping[str, object]:
    (found,) = [each for each in rows if all(each[name] == value for name, value in wanted.items())]
    return found


def test_means_of_velocities_and_their_average() -> None:
    found = records({("gen-hyprl", 35): -20.0})
    rows = summarise(found, recipe="table4", resamples=200).rows
    for velocity in TESTED:
        mean = np.mean([each.total for each in found if each.task == velocity_task(velocity)])
        assert row(rows, task=velocity_task(velocity))["value"] == pytest.approx(mean, abs=1e-5)
    average = row(rows, task=None, statistic="mean")
    assert average["value"] == pytest.approx(np.mean([each.total for each in found]), abs=1e-5)
    assert (average["n_policies"], average["n_episodes"], average["n_seeds"]) == (8, 80, 2)
    assert (average["metric"], average["n_train"], average["paper"]) == ("return", 35, None)
    low, high = average["ci95"]  # type: ignore[misc]
    assert low < average["value"] < high  # type: ignore[operator]


def test_the_papers_numbers_stand_beside_their_own_rows() -> None:
    assert average_return("gen-hyprl-wo-hypformer", 10) == -33.44
    assert average_return("gen-hyprl-wo-hypformer", 35) == -29.6
    assert average_return("gen-hyprl-wo-hypformer", 20) is None
    assert average_return("prompt-dt", 35) == -34.43
    assert average_return("prompt-dt", 10) is None
    found = records({("gen-hyprl-wo-hypformer", 35): -20.0}, splits=dict.fromkeys(TESTED, "validation"))
    rows = summarise(found, recipe="table4", resamples=50).rows
    assert {each["paper"] for each in rows} == {None}, "the paper has tested nothing else"


def test_differences_are_paired_by_starts() -> None:
    means: dict[tuple[str, int | None], float] = {("gen-hyprl", 35): -20.0, ("nearest-velocity", 35): -22.0}
    found = summarise(records(means, noise=0.1), recipe="table4", resamples=500)
    gain = row(found.comparisons, minus="nearest-velocity")
    width = np.subtract(*gain["ci95"][::-1])  # type: ignore[index]
    assert gain["value"] == pytest.approx(2.0, abs=0.2)
    assert gain["ci95"][0] > 0  # type: ignore[index]
    own = row(found.rows, method="nearest-velocity", task=None, statistic="mean")
    assert width < 0.2 * np.subtract(*own["ci95"][::-1])  # type: ignore[index]


def test_methods_of_every_size_are_compared_with_each() -> None:
    means = {
        ("gen-hyprl", 35): -20.0,
        ("gen-hyprl", 10): -25.0,
        ("expert", None): -18.0,
        ("nearest-velocity", 10): -30.0,
    }
    found = summarise(records(means), recipe="table4", resamples=50).comparisons
    pairs = [(each["minus"], each["n_train"]) for each in found]
    assert pairs == [("expert", 35), ("expert", 10), ("nearest-velocity", 10)]


def test_another_method_changes_no_interval() -> None:
    alone = summarise(records({("gen-hyprl", 35): -20.0}), recipe="t", resamples=100).rows
    both = summarise(records({("gen-hyprl", 35): -20.0, ("expert", None): -1.0}), recipe="t", resamples=100).rows
    assert [each for each in both if each["method"] == "gen-hyprl"] == alone
