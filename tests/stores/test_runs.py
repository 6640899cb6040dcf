"""Which runs nothing is trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyprepro.stores.runs import rows_of, untested
from tests.stores.pairs import read, write


def test_test_policies_are_told_apart_by_whether_their_run_is_trained_on(tmp_path: Path) -> None:
    tasks = {"reach": {0: "test train", 1: "train", 5: "test test", -1: "test"}}
    zoo = read(write(tmp_path / "zoo", tasks))[0]
    assert rows_of(zoo, "reach", "training").tolist() == [0]
    assert rows_of(zoo, "reach", "unseen").tolist() == [3, 4, 5], "of an unknown run nothing is known to be trained on"


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
