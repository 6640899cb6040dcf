"""Joining stores and taking parts of them: runs, their policies and their episodes stay together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyprepro.errors import UserError
from hyprepro.policies.layout import PolicyLayout
from hyprepro.stores.card import unsolved_route
from hyprepro.stores.parts import Wanted, merge, subset
from tests.stores.pairs import VERSIONS, Made, assert_everything_fits, digests, read, runs_of, write

TRAIN, SIBLINGS, TEST = "train train", "test train train", "test test"
WHOLE = {
    "reach": {0: SIBLINGS, 1: SIBLINGS, 2: SIBLINGS, 3: TEST, 4: TEST},
    "door-open": {0: TRAIN, 1: TRAIN, 2: TRAIN, 3: TEST, 4: TEST},
    "door-lock": {3: TEST, 4: TEST},
}


def part_of(folder: Path, *runs: int) -> Path:
    """A part of `WHOLE`, as a collection of these runs writes it."""
    route = {"name": "toy", "summary": "toys", "part": {"runs": list(runs), "of": 5}}
    tasks = {task: {seed: of[seed] for seed in runs if seed in of} for task, of in WHOLE.items()}
    name = folder / "-".join(map(str, runs))
    return write(name, {task: of for task, of in tasks.items() if of}, Made(route=route))


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return write(tmp_path / "whole", WHOLE)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_parts_joined_in_any_order_are_the_whole(tmp_path: Path, whole: Path, order: tuple[int, ...]) -> None:
    parts = [part_of(tmp_path, 0), part_of(tmp_path, 3, 1), part_of(tmp_path, 2, 4)]
    out = tmp_path / "joined"
    written = [Path(f"{out}{end}") for end in (".policies.h5", ".trajectories.h5", ".md")]
    assert merge([parts[i] for i in order], out) == written
    assert digests(out) == digests(whole)
    assert_everything_fits(out)


def test_some_parts_say_which_they_are(tmp_path: Path, whole: Path) -> None:
    out = tmp_path / "joined"
    merge([part_of(tmp_path, 0), part_of(tmp_path, 3)], out)
    assert read(out)[0].route["part"] == {"runs": [0, 3], "of": 5}
    merge([out, part_of(tmp_path, 1, 2, 4)], tmp_path / "all")
    assert digests(tmp_path / "all") == digests(whole)


def test_stores_of_different_collections_are_told_as_what_they_are(tmp_path: Path) -> None:
    """Of float32 and float16 the wider is kept; of other versions both are told."""
    one = write(tmp_path / "one", {"reach": {0: TRAIN}, "door-open": {7: TEST}})
    other = Made(route={"name": "own", "summary": "mine"}, weights="float32", versions={**VERSIONS, "numpy": "2.1"})
    two = write(tmp_path / "two", {"hammer": {0: TRAIN}, "reach": {1000: TEST}}, other)
    merge([Path(f"{one}.policies.h5"), Path(f"{two}.trajectories.h5")], tmp_path / "joined", partial=True)
    zoo, episodes = read(tmp_path / "joined")
    assert set(zoo.tasks) == {"reach", "door-open", "hammer"}
    assert runs_of(tmp_path / "joined", "reach") == {0: TRAIN, 1000: TEST}
    assert zoo.route["summary"] == "toys; and mine"
    assert zoo.route == episodes.route
    assert (zoo.weights, zoo.versions["numpy"]) == ("float32", "2.0 and 2.1")
    assert_everything_fits(tmp_path / "joined")


def test_episodes_of_no_stored_policy_stay(tmp_path: Path) -> None:
    from hyprepro.stores.policy_store import PolicyStore
    from hyprepro.stores.trajectory_store import TrajectoryStoreWriter

    one, two = (write(tmp_path / name, {"reach": {seed: TEST}}) for name, seed in (("one", 0), ("two", 1)))
    digest = PolicyStore.open(f"{one}.policies.h5").digest
    with TrajectoryStoreWriter(f"{one}.trajectories.h5", {}, digest, 3, 2, versions=VERSIONS) as writer:
        writer.append("reach", np.ones((4, 3)), np.ones((3, 2)), np.ones(3), 1, 77, -1, "test")
    merge([one, two], tmp_path / "joined")
    table = read(tmp_path / "joined")[1].table("reach")
    assert sorted(table["policy_row"].tolist()) == [-1, 2, 3]
    assert 77 in table["seed"]


@pytest.mark.parametrize(
    ("made", "what"),
    [
        (Made(layout=PolicyLayout.mlp(3, 4, 2, ("elu", "relu"))), "different layouts: .*relu/relu.*elu/relu"),
        (Made(layout=PolicyLayout.mlp(3, 5, 2, ("relu", "relu"))), "different layouts"),
        (Made(versions={**VERSIONS, "mujoco": "3.4.0"}), "different simulators: mujoco 3.3.0 and 3.4.0"),
        (Made(versions={"numpy": "2.0"}), "different simulators: metaworld 3.1.1 and unknown"),
        (Made(sizes=(5, 2)), r"different sizes: \(3, 2\) and \(5, 2\)"),
    ],
)
def test_stores_of_different_worlds_are_not_joined(tmp_path: Path, made: Made, what: str) -> None:
    one, two = write(tmp_path / "one", {"reach": {0: TEST}}), write(tmp_path / "two", {"reach": {1: TEST}}, made)
    refuses(what, merge, [one, two], tmp_path / "joined", partial=True)


def test_a_run_is_not_joined_with_itself(tmp_path: Path) -> None:
    one, two = (write(tmp_path / name, {"reach": {0: TRAIN, 1: TEST}}) for name in ("one", "two"))
    error = refuses("Run 0 of reach stands in two", merge, [one, two], tmp_path / "joined")
    assert "one.policies.h5" in error.where
    assert "two.policies.h5" in error.where
    other = write(tmp_path / "other", {"hammer": {0: TRAIN, 1: TEST}})
    merge([one, other], tmp_path / "joined")  # it is a run of another task


def test_unknown_runs_may_stand_in_two(tmp_path: Path) -> None:
    one, two = (write(tmp_path / name, {"reach": {-1: "train test"}}) for name in ("one", "two"))
    merge([one, two], tmp_path / "joined")
    assert runs_of(tmp_path / "joined", "reach") == {-1: "train test train test"}


def test_without_runs_to_test_with_only_a_part_is_written(tmp_path: Path) -> None:
    parts = [part_of(tmp_path, 0), part_of(tmp_path, 1)]
    error = refuses("No run for test prompts is left of door-open, reach", merge, parts, tmp_path / "joined")
    assert "--partial" in error.fix
    merge(parts, tmp_path / "joined", partial=True)
    assert runs_of(tmp_path / "joined", "reach") == {0: SIBLINGS, 1: SIBLINGS}


def test_tasks_told_by_numbers_need_no_runs_to_test_with(tmp_path: Path) -> None:
    made = Made(is_rated=False)
    parts = [write(tmp_path / task, {task: {0: TRAIN}}, made) for task in ("speed-1.000", "speed-2.000")]
    merge(parts, tmp_path / "joined")
    assert read(tmp_path / "joined")[0].tasks == ("speed-1.000", "speed-2.000")
    rated = write(tmp_path / "reach", {"reach": {0: TRAIN}})
    refuses("No run for test prompts is left of reach", merge, [parts[0], rated], tmp_path / "both")


def test_what_cannot_be_joined_at_all(tmp_path: Path, whole: Path) -> None:
    out = tmp_path / "joined"
    refuses("One store alone", merge, [whole], out)
    refuses("policies of another store", merge, [whole, mixed(tmp_path)], out)
    refuses("nothere", merge, [whole, tmp_path / "nothere"], out)
    other = part_of(tmp_path, 0)
    before = digests(other)
    refuses("is one of the stores", merge, [other, part_of(tmp_path, 3)], other)
    assert digests(other) == before


def mixed(folder: Path) -> Path:
    """Policies of one store, episodes of another."""
    name = write(folder / "mixed", {"reach": {9: TEST}})
    (folder / "mixed.trajectories.h5").write_bytes(Path(f"{part_of(folder, 4)}.trajectories.h5").read_bytes())
    return name


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        (Wanted(tasks=("reach",)), {"reach": WHOLE["reach"]}),
        (Wanted(runs=(1, 4)), {task: {s: of[s] for s in (1, 4) if s in of} for task, of in WHOLE.items()}),
        (
            Wanted(train_runs=1),
            {
                "reach": {0: SIBLINGS, 3: TEST, 4: TEST},
                "door-open": {0: TRAIN, 3: TEST, 4: TEST},
                "door-lock": {3: TEST, 4: TEST},
            },
        ),
        (
            Wanted(tasks=("reach",), policies=1),
            {"reach": {0: "test train", 1: "test train", 2: "test train", 3: TEST, 4: TEST}},
        ),
        (Wanted(tasks=("reach",), runs=(1, 2, 3), train_runs=1), {"reach": {1: SIBLINGS, 3: TEST}}),
    ],
)
def test_a_part_keeps_what_was_asked_for(
    tmp_path: Path, whole: Path, wanted: Wanted, left: dict[str, dict[int, str]]
) -> None:
    out = tmp_path / "part"
    subset(whole, out, wanted)
    zoo, episodes = read(out)
    assert {task: runs_of(out, task) for task in zoo.tasks} == left
    assert set(episodes.tasks) == set(left)
    assert zoo.route["subset_of"] == read(whole)[0].digest
    assert_everything_fits(out)


def test_of_a_run_the_last_policies_are_kept(tmp_path: Path, whole: Path) -> None:
    subset(whole, tmp_path / "part", Wanted(tasks=("reach",), policies=1))
    meta = read(tmp_path / "part")[0].meta("reach")
    assert meta["step"][meta["split"] == "train"].tolist() == [200, 200, 200]


@pytest.mark.parametrize(
    ("wanted", "what"),
    [
        (Wanted(tasks=("raech",)), "no task 'raech'"),
        (Wanted(runs=(1, 9)), "no run 9"),
        (Wanted(tasks=("door-lock",), runs=(1, 3)), "no run 1"),
        (Wanted(train_runs=4), "door-open has 3 training runs, and 4 are asked for"),
        (Wanted(runs=(0, 1)), "No run for test prompts is left of door-open, reach"),
    ],
)
def test_a_part_that_is_not_there_is_refused(tmp_path: Path, whole: Path, wanted: Wanted, what: str) -> None:
    refuses(what, subset, whole, tmp_path / "part", wanted)


def test_a_part_does_not_take_the_place_of_its_whole(tmp_path: Path, whole: Path) -> None:
    refuses("is one of the stores", subset, whole, whole, Wanted(tasks=("reach",)))
    assert "door-open" in read(whole)[0].tasks


def test_a_card_says_what_was_joined_and_by_which_command(tmp_path: Path, whole: Path) -> None:
    parts = [part_of(tmp_path, 0, 1), part_of(tmp_path, 2, 3, 4)]
    card = merge(parts, tmp_path / "joined")[2]
    assert card == tmp_path / "joined.md"
    text = card.read_text()
    assert "`hyprepro store merge 0-1 2-3-4 --out joined`" in text
    assert "0-1, runs 0, 1 of 5: policies" in text
    assert "| reach | 6 / 7 | " in text
    for name in (*parts, tmp_path / "joined"):
        assert all(digest in text for digest in digests(name))
    assert str(tmp_path) not in text, "a card is published, and says nothing of the machine"
    assert "Not solved" not in text


def test_the_card_of_a_part_names_the_whole(tmp_path: Path, whole: Path) -> None:
    wanted = Wanted(("reach",), (0, 1, 2), 2, 1)
    text = subset(whole, tmp_path / "part", wanted, partial=True)[2].read_text()
    flags = "--task reach --run 0 --run 1 --run 2 --train-runs 2 --policies 1"
    assert f"`hyprepro store subset whole {flags} --out part --partial`" in text
    assert all(digest in text for digest in (*digests(whole), *digests(tmp_path / "part")))


def test_runs_that_did_not_get_there_are_named_wherever_they_go(tmp_path: Path) -> None:
    """Of reach one run got there; of door-open none, so that it is named although the stores do not have it."""
    curves = {("reach", 2): [(300, 0.0), (100, 0.25)], ("door-open", 0): [(100, 0.0)], ("door-open", 2): [(5, 0.5)]}
    route = {"name": "toy", "summary": "toys"}
    whole = write(tmp_path / "whole", {"reach": {0: TRAIN, 3: TEST}}, Made({**route, **unsolved_route(curves)}))
    parts = []
    for runs in ((0, 1), (2, 3)):
        own = unsolved_route({run: curve for run, curve in curves.items() if run[1] in runs})
        said = {**route, **own, "part": {"runs": list(runs), "of": 4}}
        kept = {seed: splits for seed, splits in ((0, TRAIN), (3, TEST)) if seed in runs}
        parts.append(write(tmp_path / f"{runs[0]}", {"reach": kept}, Made(said)))
    text = merge(parts[::-1], tmp_path / "joined")[2].read_text()
    assert digests(tmp_path / "joined") == digests(whole)
    assert "reach, run 2: 0.25 at 100, 0.00 at 300" in text
    assert "Of door-open no run got there" in text
    text = subset(whole, tmp_path / "part", Wanted(runs=(0, 3)))[2].read_text()
    assert "door-open, run 0" in text
    assert "run 2" not in text
    assert "unsolved" not in read(write_part(tmp_path, whole))[0].route


def write_part(folder: Path, whole: Path) -> Path:
    """The part of one task all of whose runs got there."""
    subset(whole, folder / "solved", Wanted(tasks=("reach",), runs=(0, 3)))
    return folder / "solved"


def test_of_a_long_curve_a_dozen_points_are_told() -> None:
    points = unsolved_route({("reach", 0): [(step, 0.0) for step in range(100)]})["unsolved"]["reach"]["0"]
    assert len(points) == 12
    assert (points[0], points[-1]) == ([0, 0.0], [99, 0.0])


def refuses(what: str, command: Any, *arguments: Any, **more: Any) -> UserError:
    """The error; nothing is written."""
    out = next(path for path in reversed(arguments) if isinstance(path, Path))
    there = set(out.parent.iterdir())
    with pytest.raises(UserError, match=what) as caught:
        command(*arguments, **more)
    assert set(out.parent.iterdir()) - there == set()
    return caught.value
