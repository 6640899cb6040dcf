"""Which runs nothing is trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyprepro.engine.stage import StoreFile
from hyprepro.errors import UserError
from hyprepro.stores.files import Runs
from hyprepro.stores.parts import Wanted, subset
from hyprepro.stores.policy_store import PolicyStore
from hyprepro.stores.runs import kept_rows, prompt_ids, prompt_kinds, rows_of, untested
from hyprepro.stores.trajectory_store import TrajectoryStore
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


def kept(pair: tuple[PolicyStore, TrajectoryStore], **rows: tuple[int, ...]) -> tuple[PolicyStore, TrajectoryStore]:
    """The stores as a zoo shows them that is trained on some policies alone."""
    files = (StoreFile(str(store.path), store.digest, kept=tuple(rows.items())) for store in pair)
    policies, episodes = files
    return PolicyStore.of(policies), TrajectoryStore.of(episodes)


MANY = {0: "train train train test", 4: "train train train test", 7: "train train train", 9: "test test"}


@pytest.mark.parametrize(
    ("runs", "policies", "wanted"),
    [
        (None, None, [0, 1, 2, 4, 5, 6, 8, 9, 10]),
        (2, None, [0, 1, 2, 4, 5, 6]),
        (1, 3, [0, 1, 2]),
        (3, 3, [2, 6, 10]),
        (2, 4, [1, 2, 5, 6]),
        (None, 6, [1, 2, 5, 6, 9, 10]),
    ],
)
def test_policies_are_spread_evenly_over_the_first_runs_the_last_of_each(
    tmp_path: Path, runs: int | None, policies: int | None, wanted: list[int]
) -> None:
    zoo = read(write(tmp_path / "zoo", {"reach": MANY, "door-lock": {9: "test"}}))[0]
    assert kept_rows(zoo, runs, policies) == {"reach": tuple(wanted)}


def test_the_part_is_the_one_that_store_subset_takes(tmp_path: Path) -> None:
    name = write(tmp_path / "zoo", {"reach": MANY})
    subset(name, tmp_path / "part", Wanted(train_runs=2, policies=2))
    zoo, part = read(name)[0], read(tmp_path / "part")[0]
    rows = list(kept_rows(zoo, 2, 4)["reach"])
    assert zoo.read("reach", rows).tolist() == part.read("reach", part.rows("reach", "train")).tolist()


@pytest.mark.parametrize(
    ("of", "runs", "policies", "what", "fix"),
    [
        (MANY, 4, None, "reach has 3 training runs, and 4 are asked for", "Zoo.runs = 3"),
        (MANY, 3, 4, "4 training policies of reach cannot be spread evenly over 3 runs", "Zoo.policies = 3"),
        (MANY, 3, 2, "2 training policies of reach cannot be spread evenly over 3 runs", "Zoo.policies = 3"),
        (MANY, 1, 4, "A training run of reach has 3 policies, and 4 of each", "Zoo.policies = 3"),
        ({-1: "train train"}, 1, None, "does not say which training run", "Zoo.runs"),
    ],
)
def test_fewer_runs_or_policies_than_asked_for_are_refused(
    tmp_path: Path, of: dict[int, str], runs: int | None, policies: int | None, what: str, fix: str
) -> None:
    zoo = read(write(tmp_path / "zoo", {"reach": of}))[0]
    with pytest.raises(UserError, match=what) as caught:
        kept_rows(zoo, runs, policies)
    assert fix in caught.value.fix
    assert "zoo" in caught.value.where


def test_a_store_shows_the_kept_policies_and_their_episodes_and_every_test_policy(tmp_path: Path) -> None:
    policies, episodes = kept(read(write(tmp_path / "zoo", {"reach": MANY})), reach=(1, 2))
    assert policies.rows("reach", "train").tolist() == [1, 2]
    assert policies.rows("reach", "test").tolist() == [3, 7, 11, 12]
    assert policies.training_seeds("reach").tolist() == [0]
    assert policies.training_seeds("reach", left_out=True).tolist() == [0, 4, 7]
    for split in ("train", "validation"):
        assert [each.policy_row for each in episodes.episodes("reach", split)] == [1, 2]
    assert [each.policy_row for each in episodes.episodes("reach", "test")] == [3, 7, 11, 12]


def test_runs_that_are_left_out_of_training_give_no_prompts_of_either_kind(tmp_path: Path) -> None:
    whole = read(write(tmp_path / "zoo", {"reach": MANY}))
    part = kept(whole, reach=(1, 2))
    rows = {
        runs: [[pair[1].episode("reach", i).policy_row for i in prompt_ids(*pair, "reach", "test", runs)] for pair in
               (whole, part)]
        for runs in ("training", "unseen")
    }  # fmt: skip
    assert rows["unseen"] == [[11, 12], [11, 12]], "prompts of unseen runs stay"
    assert rows["training"] == [[3, 7], [3]]


def test_the_kinds_of_prompts_of_a_store(tmp_path: Path) -> None:
    assert prompt_kinds(*read(write(tmp_path / "both", {"reach": BOTH}))) == ["unseen", "training"]
    assert prompt_kinds(*read(write(tmp_path / "one", {"reach": ONE}))) == ["unseen"]


def test_a_refusal_names_the_zoo_and_its_binding(tmp_path: Path) -> None:
    pair = read(write(tmp_path / "zoo", {"reach": ONE}))
    with pytest.raises(UserError, match="no test prompts of reach from training runs") as caught:
        prompt_ids(*pair, "reach", "test", "training", "mine")
    assert "the zoo mine" in caught.value.where
    assert "mine/Zoo.prompt_runs=('unseen',)" in caught.value.fix
