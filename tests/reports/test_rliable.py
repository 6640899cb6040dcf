"""Our statistics are rliable's, on the same records. rliable is no dependency: `nox -s statistics` installs it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hyprepro.reports.records import Record
from hyprepro.reports.statistics import TAUS
from hyprepro.reports.summary import Summary, summarise
from tests.reports.synthetic import TABLE1_TASKS, make_records

library = pytest.importorskip("rliable.library", reason="nox -s statistics", exc_type=ImportError)
metrics = pytest.importorskip("rliable.metrics", reason="nox -s statistics", exc_type=ImportError)

REPS = 2000
RATES = {"retrieval": 0.75, "gen-hyprl-wo-hypformer": 0.6, "gen-hyprl": 0.7}


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return make_records(RATES, tasks=TABLE1_TASKS, policies=10, seeds=4)


@pytest.fixture(scope="module")
def summary(records: list[Record]) -> Summary:
    return summarise(records, recipe="table1", tasks=TABLE1_TASKS, resamples=REPS)


def runs(records: list[Record], method: str) -> NDArray[np.float64]:
    """rliable's scores, runs x tasks: a run's share of successes under the strict protocol."""
    mine = [record for record in records if (record.method, record.protocol) == (method, "strict")]
    seeds = sorted({record.seed for record in mine})
    cells = [[[r.success for r in mine if (r.seed, r.task) == (seed, task)] for task in TABLE1_TASKS] for seed in seeds]
    return np.mean(cells, axis=2)


def pick(rows: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    (row,) = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return row


@pytest.mark.parametrize("method", RATES)
@pytest.mark.parametrize(("statistic", "theirs"), [("iqm", "aggregate_iqm"), ("mean", "aggregate_mean")])
def test_point_estimates(records: list[Record], summary: Summary, method: str, statistic: str, theirs: str) -> None:
    row = pick(summary.rows, method=method, protocol="strict", task=None, statistic=statistic)
    assert row["value"] == pytest.approx(getattr(metrics, theirs)(runs(records, method)), abs=1e-6)


@pytest.mark.parametrize("other", ["gen-hyprl-wo-hypformer", "retrieval"])
def test_the_probability_of_improvement(records: list[Record], summary: Summary, other: str) -> None:
    row = pick(summary.comparisons, minus=other, protocol="strict", statistic="probability_of_improvement")
    theirs = metrics.probability_of_improvement(runs(records, "gen-hyprl"), runs(records, other))
    assert row["value"] == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("method", RATES)
def test_performance_profiles(records: list[Record], summary: Summary, method: str) -> None:
    ours = pick(summary.profiles, method=method)
    # rliable compares without rounding: a hair above each tau, so that 0.3 as the mean of ten is not above 0.3.
    taus = np.array(TAUS) + 1e-9
    theirs, _ = library.create_performance_profile({method: runs(records, method)}, taus, reps=5)
    assert ours["taus"] == list(TAUS)
    np.testing.assert_allclose(ours["share"], theirs[method], atol=1e-6)


def test_with_prompts_fixed_our_intervals_are_of_the_width_of_rliables() -> None:
    """Prompts that all fail or all succeed leave nothing to resample but runs, as in rliable.

    rliable resamples the runs of every task by itself. Ours are resampled jointly, because one generator serves all
    tasks: runs that are good on one task and bad on another give equal widths only where there is one task.
    """
    rng = np.random.default_rng(0)
    won = rng.random(12) < 0.5
    task = TABLE1_TASKS[0]
    found = [
        Record("gen-hyprl", "ours", seed, None, "seen", task, "strict", policy, f"fresh-{policy}", bool(won[seed]), 9)
        for seed in range(12)
        for policy in range(4)
    ]
    row = summarise(found, recipe="table1", tasks=(task,), resamples=REPS).rows[0]
    scores = {"gen-hyprl": won.astype(float)[:, None]}
    points, intervals = library.get_interval_estimates(
        scores, lambda x: np.array([metrics.aggregate_mean(x)]), reps=REPS, random_state=np.random.RandomState(0)
    )
    assert row["value"] == pytest.approx(points["gen-hyprl"][0], abs=1e-6)
    assert row["ci95"] == pytest.approx(intervals["gen-hyprl"][:, 0], abs=0.05)
