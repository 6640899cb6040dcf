from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from hyprepro.errors import UserError
from hyprepro.reports.check import check, unequal
from tests.reports.synthetic import RATES, TABLE1_TASKS, TABLE3_TASKS, make_records, make_result

Result = dict[str, Any]


@pytest.fixture(scope="module")
def committed() -> Result:
    return make_result(make_records(policies=30))


def changed(result: Result, edit: Callable[[Result], object]) -> Result:
    other = copy.deepcopy(result)
    edit(other)
    return other


def row_of(result: Result, **wanted: Any) -> dict[str, Any]:
    rows = [row for row in result["rows"] if all(row[name] == value for name, value in wanted.items())]
    return rows[0]


HEADLINE = {"method": "gen-hyprl", "task": None, "protocol": "paper", "statistic": "mean"}


def test_a_result_reproduces_itself(committed: Result) -> None:
    assert check(committed, committed) == []


def test_another_sample_of_the_same_rates_passes(committed: Result) -> None:
    violations = check(committed, make_result(make_records(policies=30, seed=1)))
    assert len(violations) <= 0.02 * len(committed["rows"])


def test_a_method_that_became_worse_fails(committed: Result) -> None:
    worse = make_result(make_records({**RATES, "gen-hyprl": 0.55}, policies=30, seed=1))
    violations = check(committed, worse)
    assert any(v.startswith("gen-hyprl, average of seen tasks, paper protocol, mean: 5") for v in violations)
    assert any(v.startswith("gen-hyprl minus gen-hyprl-wo-hypformer, average of seen tasks") for v in violations)
    assert not any(v.startswith("expert") for v in violations)


@pytest.mark.parametrize("direction", [-1, 1])
def test_one_number_outside_its_interval_is_one_violation(committed: Result, direction: int) -> None:
    def edit(result: Result) -> None:
        row = row_of(result, **HEADLINE)
        low, high = row["ci95"]
        shift = direction * (1.01 * (high - low) + 3.0 / row["n_policies"])
        row["value"] += shift
        row["ci95"] = [low + shift, high + shift]

    (violation,) = check(committed, changed(committed, edit))
    assert violation.startswith("gen-hyprl, average of seen tasks, paper protocol, mean:")
    assert "committed" in violation


def test_a_number_within_its_own_sampling_error_of_the_interval_passes(committed: Result) -> None:
    def edit(result: Result) -> None:
        row = row_of(result, **HEADLINE)
        low, high = row["ci95"]
        shift = 0.9 * (row["value"] - low)
        row["value"], row["ci95"] = low - shift, [low - 2 * shift, high - 2 * shift]

    assert check(committed, changed(committed, edit)) == []


def test_a_single_failure_after_none_is_no_violation_and_many_are() -> None:
    def result(failures: int) -> Result:
        records = make_records({"expert": 1.0}, tasks=("door-open",), policies=100)
        spoiled = [r._replace(success=False) if r.policy < failures else r for r in records]
        return make_result(spoiled)

    assert check(result(0), result(1)) == []
    assert check(result(0), result(20)) != []


def test_missing_and_new_rows_are_violations(committed: Result) -> None:
    fewer = changed(committed, lambda result: result["rows"].pop(0))
    assert check(committed, fewer) == ["expert, window-open, paper protocol, mean: missing in the fresh result"]
    assert check(fewer, committed) == ["expert, window-open, paper protocol, mean: has no committed number"]


def test_a_number_that_vanished_is_a_violation(committed: Result) -> None:
    def edit(result: Result) -> None:
        row_of(result, **HEADLINE).update(value=None, ci95=None)

    assert len(check(committed, changed(committed, edit))) == 1


def provenance(name: str, **values: str) -> Callable[[Result], object]:
    return lambda result: result["provenance"][name].update(values)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (provenance("versions", mujoco="3.6.0"), r"mujoco 3\.3\.0 committed, 3\.6\.0 now"),
        (provenance("versions", metaworld="3.0.0"), "metaworld"),
        (lambda result: result["provenance"].pop("versions"), "unknown now"),
        (provenance("stores", policies="x" * 64), "policies store pppp.* committed, xxxx.* now"),
        (provenance("stores", trajectories="x" * 64), "trajectories store"),
        (lambda result: result["provenance"].pop("stores"), "policies store"),
        (lambda result: result.update(scale="smoke"), "scale 'desktop' committed, 'smoke' now"),
        (lambda result: result.update(variant="paper"), "variant"),
        (
            lambda result: result["provenance"]["config"]["methods"][0].update(noise=4),
            r"Recipe\.methods\[0\]\.noise differs",
        ),
        (lambda result: result["provenance"]["config"]["methods"].append({}), r"Recipe\.methods differs"),
    ],
)
def test_unlike_results_are_refused(committed: Result, edit: Callable[[Result], object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        check(committed, changed(committed, edit))
    assert caught.value.fix


@pytest.mark.parametrize(
    "edit",
    [
        provenance("versions", torch="3.0"),
        lambda result: result["provenance"]["config"]["data"].update(policies="/elsewhere/a.h5"),
        lambda result: result["provenance"]["config"].update(a_new_field=1),
    ],
)
def test_another_torch_path_or_new_field_is_compared(committed: Result, edit: Callable[[Result], object]) -> None:
    assert check(committed, changed(committed, edit)) == []


def test_a_component_of_another_name_by_now_is_the_same_one(committed: Result) -> None:
    new = committed["provenance"]["config"]
    old = {**new, "component": "VelocityRecipe", "methods": [{"component": "DataSource", "row": ""}]}
    now = {**new, "component": "Recipe", "methods": [{"component": "MetaWorld", "row": "mine"}]}
    assert list(unequal(old, now, "Recipe")) == []
    now["methods"] = [{"component": "CheetahVel", "row": ""}]
    assert list(unequal(old, now, "Recipe")) == ["Recipe.methods[0].component"]


def test_another_number_of_seeds_is_refused(committed: Result) -> None:
    def one_seed(result: Result) -> None:
        for row in result["rows"]:
            row["n_seeds"] = 1 if row["method"] == "gen-hyprl" else row["n_seeds"]

    with pytest.raises(UserError, match=r"gen-hyprl has . seeds committed, 1 now"):
        check(committed, changed(committed, one_seed))


BOTH = TABLE1_TASKS + TABLE3_TASKS


@pytest.fixture(scope="module")
def of_both_splits() -> Result:
    return make_result(make_records(tasks=BOTH, policies=30))


@pytest.mark.parametrize("split", ["seen", "unseen"])
def test_a_number_of_either_split_that_moved_is_caught(of_both_splits: Result, split: str) -> None:
    def edit(result: Result) -> None:
        row = row_of(result, **HEADLINE, split=split)
        row["value"] -= 0.5
        row["ci95"] = [end - 0.5 for end in row["ci95"]]

    assert check(of_both_splits, of_both_splits) == []
    (violation,) = check(of_both_splits, changed(of_both_splits, edit))
    assert violation.startswith(f"gen-hyprl, average of {split} tasks, paper protocol, mean:")


def test_a_method_that_became_worse_on_unseen_tasks_alone_fails_there_alone(of_both_splits: Result) -> None:
    seen = make_records(tasks=TABLE1_TASKS, policies=30)
    unseen = make_records({**RATES, "gen-hyprl": 0.5}, tasks=TABLE3_TASKS, policies=30, seed=1)
    violations = check(of_both_splits, make_result(seen + unseen))
    averages = [line.split(":")[0] for line in violations if "average of" in line]
    assert "gen-hyprl, average of unseen tasks, strict protocol, mean" in averages
    assert (
        "gen-hyprl above gen-hyprl-wo-hypformer, average of unseen tasks, strict protocol, probability_of_improvement"
        in (averages)
    )
    assert not any("average of seen" in line for line in averages)


def test_a_first_failure_may_turn_a_tie_of_perfect_methods_and_many_may_not() -> None:
    def result(failures: int) -> Result:
        records = make_records({"gen-hyprl": 1.0, "expert": 1.0}, tasks=TABLE1_TASKS, policies=20)
        spoiled = [
            r._replace(success=False)
            if r.method == "gen-hyprl" and r.policy == 0 and r.task in TABLE1_TASKS[:failures]
            else r
            for r in records
        ]
        return make_result(spoiled)

    def chances(fresh: Result) -> list[str]:
        return [line for line in check(result(0), fresh) if "above expert" in line]

    assert chances(result(1)) == []
    assert len(chances(result(8))) == 2
