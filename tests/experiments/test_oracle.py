"""The ceiling of a choice, from the records of the rows that it chooses from."""

from __future__ import annotations

import pytest

from hyprepro.errors import UserError
from hyprepro.experiments.oracle import BestLook, Oracle
from hyprepro.experiments.protocols import StrictProtocol
from hyprepro.methods.ceilings import Expert
from hyprepro.methods.gen_hyprl import GenHypRL
from hyprepro.methods.hyperzero import HyperZero
from hyprepro.methods.retrieval import MeanPolicy
from hyprepro.reports.records import Record

ORACLE = Oracle(name="best", among=("a", "b"))


def record(method: str, policy: int, success: bool, start: int = 0, task: str = "reach") -> Record:
    return Record(method, "ours", 0, None, "unseen", task, "strict", policy, f"fresh-{start}", success, 10)


def test_of_each_policy_the_better_row_counts() -> None:
    records = [record("a", 0, True), record("a", 1, False), record("b", 0, False), record("b", 1, True)]
    best = ORACLE.records(records)
    assert [each.success for each in best] == [True, True]
    assert {each.method for each in best} == {"best"}


def test_a_row_is_chosen_for_a_policy_and_not_for_an_episode() -> None:
    records = [record("a", 0, start == 0, start) for start in range(3)]
    records += [record("b", 0, start > 0, start) for start in range(3)]
    assert [each.success for each in ORACLE.records(records)] == [False, True, True]


def test_tasks_and_other_rows_are_kept_apart() -> None:
    records = [record("a", 0, False), record("b", 0, False), record("c", 0, True)]
    records += [record("a", 0, True, task="door-open"), record("b", 0, False, task="door-open")]
    assert {each.task: each.success for each in ORACLE.records(records)} == {"reach": False, "door-open": True}


def test_by_other_goals_a_row_is_not_chosen_for_its_luck() -> None:
    records = [record("a", 0, start == 0, start) for start in range(4)]
    records += [record("b", 0, start > 0, start) for start in range(4)]
    fair = ORACLE.model_copy(update={"by": "others"}).records(records)
    assert [each.success for each in fair] == [False, True, True, True], "at the first goal b looks better, and fails"
    with pytest.raises(UserError, match="a policy has one start"):
        ORACLE.model_copy(update={"by": "others"}).check_rows(
            [MeanPolicy(row="a"), MeanPolicy(row="b")], [StrictProtocol(goals_per_policy=1)]
        )


def test_rows_that_are_not_there_are_refused() -> None:
    rows = [MeanPolicy(row="a"), MeanPolicy(row="bb")]
    with pytest.raises(UserError, match="'b', and the recipe has no such row") as caught:
        ORACLE.check_rows(rows, [])
    assert caught.value.closest == "bb"


def test_rows_with_and_without_seeds_are_refused() -> None:
    with pytest.raises(UserError, match="with generator seeds and rows without"):
        ORACLE.check_rows([GenHypRL(row="a"), Expert(row="b")], [])


def look(number: int, task: str, total: float, split: str = "test", seed: int = 0) -> Record:
    return Record("looks", "ours", seed, 35, split, task, "paper", number, "fresh-0", None, None, total)


def test_one_look_of_a_training_is_best_for_all_its_tasks_together() -> None:
    records = [look(0, "a", -5.0), look(0, "b", -1.0), look(1, "a", -2.0), look(1, "b", -3.0)]
    records += [look(0, "c", 0.0, "seen"), look(1, "c", -100.0, "seen")]
    records += [look(0, "a", -1.0, seed=1), look(1, "a", -9.0, seed=1)]
    best = BestLook(name="best", of="looks").records(records)
    assert [(each.seed, each.task, each.total) for each in best] == [
        (0, "a", -2.0), (0, "b", -3.0), (0, "c", -100.0), (1, "a", -1.0)
    ]  # fmt: skip
    assert {(each.method, each.policy) for each in best} == {("best", 0)}


def test_a_row_that_has_no_looks_is_refused() -> None:
    rows = [HyperZero(), HyperZero(row="hyperzero-looks", deployed="looks", looks=3)]
    BestLook(of="hyperzero-looks").check_rows(rows, [])
    with pytest.raises(UserError, match="no such row of looks") as caught:
        BestLook(of="hyperzero").check_rows(rows, [])
    assert caught.value.closest == "hyperzero-looks"
