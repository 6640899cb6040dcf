"""Arrays out of records: their shapes and order, and every way in which records are no whole."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hyprepro.errors import UserError
from hyprepro.reports.cells import Line, groups, measured
from hyprepro.reports.records import Record
from hyprepro.reports.statistics import Outcomes, Totals
from tests.reports import velocities
from tests.reports.synthetic import TABLE3_TASKS, make_records

Spoil = Callable[[list[Record]], list[Record]]
TASKS = ("window-open", "reach")


@pytest.fixture(scope="module")
def successes() -> list[Record]:
    return make_records(tasks=TASKS, validation=3)


@pytest.fixture(scope="module")
def returns() -> list[Record]:
    return velocities.records({("gen-hyprl", 35): -20.0, ("gen-hyprl", 10): -25.0, ("expert", None): -18.0})


def test_success_is_by_seed_policy_and_start_and_validation_ranks_policies(successes: list[Record]) -> None:
    found = measured(successes, "table1")
    assert (found.variant, found.metric) == ("ours", "success_rate")
    cell = found.lines[Line("gen-hyprl", None, "strict")]["seen"]["reach"]
    assert isinstance(cell, Outcomes)
    assert cell.validation is not None
    assert (cell.shape, cell.validation.shape) == ((2, 12, 1), (2, 12))
    (one,) = [r.score for r in successes if (*r[:3], *r[5:8]) == ("gen-hyprl", "ours", 1, "reach", "strict", 7)]
    assert cell.success[1, 7, 0] == one
    paper = found.lines[Line("gen-hyprl", None, "paper")]["seen"]["reach"]
    assert paper.shape == (2, 12, 2)


def test_every_number_of_training_tasks_has_a_line_of_its_own(returns: list[Record]) -> None:
    found = measured(returns, "table4")
    assert found.metric == "return"
    lines = [Line("gen-hyprl", 35, "paper"), Line("gen-hyprl", 10, "paper"), Line("expert", None, "paper")]
    assert list(found.lines) == lines
    for line, splits in found.lines.items():
        totals = [record.total for record in returns if (record.method, record.n_train) == line[:2]]
        cells = [cell for cell in splits["test"].values() if isinstance(cell, Totals)]
        assert sum(cell.totals.size for cell in cells) == len(totals)
        assert np.mean([cell.totals.mean() for cell in cells]) == pytest.approx(np.mean(totals))


def test_a_task_is_in_one_split_for_one_number_and_in_another_for_another(returns: list[Record]) -> None:
    moved = [r._replace(split="seen") if (r.n_train, r.task) == (10, "velocity-1.200") else r for r in returns]
    lines = measured(moved, "velocities").lines
    assert {split: list(cells) for split, cells in lines[Line("gen-hyprl", 10, "paper")].items()} == {
        "test": ["velocity-0.225"],
        "seen": ["velocity-1.200"],
    }
    assert list(lines[Line("gen-hyprl", 35, "paper")]) == ["test"]


def test_an_average_stands_after_its_tasks_and_before_those_below(successes: list[Record]) -> None:
    cells = measured(successes, "table1", TASKS).lines[Line("expert", None, "paper")]["seen"]
    assert list(groups(cells)) == ["window-open", "reach", None]
    assert list(groups(cells, below=("reach",))) == ["window-open", None, "reach"]
    assert list(groups(cells, below=("reach",))[None]) == ["window-open"]
    assert list(groups(cells, below=TASKS)) == list(TASKS)


def test_the_tasks_that_are_given_order_the_cells(successes: list[Record]) -> None:
    for tasks in (TASKS, TASKS[::-1]):
        assert list(measured(successes, "table1", tasks).lines[Line("expert", None, "paper")]["seen"]) == list(tasks)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda records: [r for r in records if (r.method, r.task) != ("expert", "reach")], "lack expert on reach"),
        (lambda records: records[1:], "incomplete: expert on window-open"),
        (lambda records: [r for r in records if (r.method, r.seed, r.policy) != ("gen-hyprl", 1, 4)], "incomplete"),
        (lambda records: [*records, records[0]._replace(variant="paper", start="paper-1")], "mix the variants"),
        (lambda records: [*records, records[0]._replace(success=None, total=-1.0)], "mix the metrics"),
        (lambda records: [], "empty"),
        (lambda records: [r for r in records if r.protocol == "validation"], "empty"),
        (lambda records: [*records, records[0]], "meets paper-720 twice"),
        (lambda records: [records[0]._replace(start="paper-721"), *records[1:]], "different starts"),
        (lambda records: [r for r in records if (r.protocol, r.policy) != ("validation", 3)], "not every policy"),
        (lambda records: [r for r in records if (r.method, r.seed, r.task) != ("gen-hyprl", 1, "reach")], "seeds are"),
        (lambda records: [*records[:-1], records[-1]._replace(split="unseen")], "mix splits: gen-hyprl on reach"),
    ],
)
def test_successes_that_are_no_whole_are_refused(successes: list[Record], spoil: Spoil, message: str) -> None:
    with pytest.raises(UserError, match=message):
        measured(spoil(successes), "table1")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda records: records[1:], "gen-hyprl, trained on 35, on velocity-0.225"),
        (lambda records: [*records, records[0]], "meets fresh-0 twice"),
        (lambda records: [records[0]._replace(start="fresh-9"), *records[1:]], "different starts"),
        (lambda records: [r for r in records if r.n_train != 10 or r.task != "velocity-1.200"], "lack gen-hyprl on"),
        (lambda records: [r for r in records if (r.n_train, r.seed, r.task) != (10, 1, "velocity-1.200")], "seeds are"),
    ],
)
def test_returns_that_are_no_whole_are_refused(returns: list[Record], spoil: Spoil, message: str) -> None:
    with pytest.raises(UserError, match=message):
        measured(spoil(returns), "table4")


def test_a_task_that_is_asked_for_and_in_no_record_is_missed(successes: list[Record]) -> None:
    with pytest.raises(UserError, match=f"lack expert on {TABLE3_TASKS[0]} under the paper protocol"):
        measured(successes, "table1", (*TASKS, *TABLE3_TASKS))
