"""Which runs nothing is trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyprepro.errors import UserError
from hyprepro.stores.files import Runs
from hyprepro.stores.runs import prompt_ids, rows_of, untested
from tests.stores.pairs import mark, read, write


def test_test_policies_are_told_apart_by_whether_their_run_is_trained_on(tmp_path: Path) -> None:
    tasks = {"reach": {0: "test train", 1: "train", 5: "test test", -1: "test"}}
    zoo = read(write(tmp_path / "zoo", tasks))[0]
    assert rows_of(zoo, "reach", "training").tolist() == [0]
    assert rows_of(zoo, "reach", "unseen").tolist() == [3, 4, 5], "of an unknown run nothing is known to be trained on"


BOTH, ONE = {0: "test train", 1: "train", 5: "test test"}, {0: "train", 5: "test"}


@pytest.mark.parametrize(("runs", "wanted"), [("training", [mark(0, 0)]), ("unseen", [mark(5, 0), mark(5, 1)])])
def test_prompts_come_from_the_runs_that_were_asked_for(tmp_path: Path, runs: Runs, wanted: list[float]) -> None:
    pair = read(write(tmp_path / "zoo", {"reach": BOTH}))
    ids = prompt_ids(*pair, "reach", "test", runs)
    assert [float(pair[1].episode("reach", index).rewards[0]) for index in ids.tolist()] == wanted


@pytest.mark.parametrize("runs", ["training", "unseen", None])
def test_what_is_trained_on_is_not_chosen_by_runs(tmp_path: Path, runs: Runs | None) -> None:
    pair = read(write(tmp_path / "zoo", {"reach": BOTH}))
    for split in ("train", "validation"):
        assert prompt_ids(*pair, "reach", split, runs).tolist() == pair[1].ids("reach", split).tolist()


def test_the_only_kind_of_prompts_needs_no_name(tmp_path: Path) -> None:
    """As do all stores that were made before there were two."""
    pair = read(write(tmp_path / "zoo", {"reach": ONE, "door-lock": {5: "test test"}}))
    for task in ("reach", "door-lock"):
        wanted = pair[1].ids(task, "test").tolist()
        assert prompt_ids(*pair, task, "test", None).tolist() == wanted
        assert prompt_ids(*pair, task, "test", "unseen").tolist() == wanted
    other = read(write(tmp_path / "other", {"hammer": {0: "train"}}))[0]
    assert len(prompt_ids(other, pair[1], "reach", "test", "unseen")) == 1, "no policy of the task is stored"


@pytest.mark.parametrize(
    ("of", "runs", "what"),
    [
        (BOTH, None, "two kinds of test prompts of reach: 1 from training runs and 2 from runs that nothing"),
        (ONE, "training", "no test prompts of reach from training runs; its 1 are from runs that nothing"),
        ({0: "test train"}, "unseen", "no test prompts of reach from runs that nothing is trained on; its 1 are from"),
    ],
)
def test_prompts_that_are_not_there_or_not_told_are_refused(
    tmp_path: Path, of: dict[int, str], runs: Runs | None, what: str
) -> None:
    pair = read(write(tmp_path / "zoo", {"reach": of}))
    with pytest.raises(UserError, match=what) as caught:
        prompt_ids(*pair, "reach", "test", runs)
    assert "Recipe.prompt_runs=" in caught.value.fix


TRAINED, SIBLING, UNSEEN = (0, "train"), (0, "test"), (1, "test")


@pytest.mark.parametrize(
    ("tasks", "lacking"),
    [
        ({"a": [TRAINED, UNSEEN], "b": [TRAINED, SIBLING]}, ["b"]),
        ({"a": [TRAINED, SIBLING]}, ["a"]),
        ({"a": [TRAINED], "b": [TRAINED]}, ["a", "b"]),
        ({"a": [TRAINED], "b": [UNSEEN]}, []),  # trained and tested tasks are different ones, as in Cheetah-Vel
        ({"a": [TRAINED, UNSEEN], "b": [UNSEEN]}, []),
    ],
)
def test_a_trained_task_without_a_run_to_test_with_is_found(
    tasks: dict[str, list[tuple[int, str]]], lacking: list[str]
) -> None:
    assert untested(tasks) == lacking
