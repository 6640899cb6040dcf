"""What training reads of a store: a digest of its own, and no other rows to be seen."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from hyprepro.domains.base import Data
from hyprepro.domains.metaworld.domain import MetaWorld
from hyprepro.errors import UserError
from hyprepro.experiments.protocols import StrictProtocol
from hyprepro.experiments.rollouts import Rollouts
from hyprepro.methods.gen_hyprl import GenHypRL
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores.base import PARTS
from hyprepro.stores.hdf5 import SPLITS
from hyprepro.stores.info import open_any
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter
from hyprepro.stores.training_data import training_observations, training_policies, training_prompts
from hyprepro.stores.trajectory_store import TrajectoryStore, TrajectoryStoreWriter
from tests.conftest import TINY_SUCCESS_STEP, TinyStores


def with_more(stores: TinyStores, folder: Path, split: str, task: str = "reach") -> Data:
    """The stores with one more policy of a task and one more episode of it, both of a split, at the end."""
    folder.mkdir()
    more = TinyStores(folder / "policies.h5", folder / "trajectories.h5")
    with (
        PolicyStore.open(stores.policies) as source,
        PolicyStoreWriter(more.policies, METAWORLD_LAYOUT, {"route": "more"}) as writer,
    ):
        for name in source.tasks:
            for row, each in enumerate(source.meta(name)["split"]):
                meta = {column: values[row] for column, values in source.meta(name).items()}
                rest = (meta[column] for column in ("seed", "step", "success", "episodes", "return"))
                writer.append(name, source.read(name, [row]), *rest, str(each))
        params = np.full((1, METAWORLD_LAYOUT.size), 0.5)
        writer.append(task, params, 9, 9, 1.0, 20, 0.0, "test" if split == "test" else "train")
        digest = writer.close()
    with (
        TrajectoryStore.open(stores.trajectories) as known,
        TrajectoryStoreWriter(more.trajectories, {"route": "more"}, digest) as episodes,
    ):
        for name in known.tasks:
            for each in known.episodes(name):
                arrays = (each.observations, each.actions, each.rewards)
                episodes.append(name, *arrays, each.success_step, each.goal_seed, each.policy_row, each.split)
        arrays = (np.zeros((66, 39)), np.zeros((65, 4)), np.zeros(65))
        episodes.append(task, *arrays, TINY_SUCCESS_STEP, 1, -1, split)
    return more.domain.data()


def rollouts(data: Data) -> Rollouts:
    return Rollouts.of(GenHypRL(), data, task="reach", split="seen", protocol=StrictProtocol(), prompts=2)


@pytest.mark.parametrize("task", ["reach", "window-open"])
def test_new_test_prompts_and_policies_train_nothing_again(task: str, tiny_stores: TinyStores, tmp_path: Path) -> None:
    before, after = rollouts(tiny_stores.domain.data()), rollouts(with_more(tiny_stores, tmp_path / "m", "test", task))
    assert before.trained is not None
    assert after.trained is not None
    assert before.trained.key == after.trained.key
    assert before.key != after.key


@pytest.mark.parametrize("split", ["train", "validation"])
def test_what_training_reads_changes_its_key(split: str, tiny_stores: TinyStores, tmp_path: Path) -> None:
    before, after = rollouts(tiny_stores.domain.data()), rollouts(with_more(tiny_stores, tmp_path / "more", split))
    assert before.trained is not None
    assert after.trained is not None
    assert before.trained.key != after.trained.key


def test_training_sees_no_test_prompt_and_no_test_policy(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data().for_training
    with data.open_policies() as policies, data.open_trajectories() as episodes:
        rows, ids = policies.rows("reach"), episodes.ids("reach")
        assert list(rows) == list(policies.rows("reach", "train"))
        assert len(ids) == episodes.count("reach", "train") + episodes.count("reach", "validation")
        for look in (
            lambda: policies.rows("reach", "test"),
            lambda: policies.read("reach", [len(rows)]),
            lambda: episodes.count("reach", "test"),
            lambda: episodes.episode("reach", len(ids)),
        ):
            with pytest.raises(UserError, match="Training reads the splits train") as caught:
                look()
            assert "Method.deploy" in caught.value.fix


def test_a_withheld_task_is_not_part_of_what_training_reads(tiny_stores: TinyStores, tmp_path: Path) -> None:
    known = tiny_stores.domain.data(("reach",))
    before, after = known.for_training, with_more(tiny_stores, tmp_path / "more", "train").trained_on(["door-open"])
    assert before.policies.described() == after.for_training.policies.described()
    assert before.trajectories.described() == after.for_training.trajectories.described()
    with before.open_trajectories() as episodes:
        assert episodes.count("reach", "train") == 0


def test_a_store_without_recorded_digests_has_the_same_ones(tiny_stores: TinyStores, tmp_path: Path) -> None:
    old = TinyStores(tmp_path / "policies.h5", tmp_path / "trajectories.h5")
    for source, target, root in (
        (tiny_stores.policies, old.policies, "policies"),
        (tiny_stores.trajectories, old.trajectories, "trajectories"),
    ):
        shutil.copy(source, target)
        with h5py.File(target, "a") as file:
            for group in file[root].values():
                del group.attrs[PARTS]
        with open_any(source) as new, open_any(target) as found:
            digests = [[store.part_digest("reach", split) for split in SPLITS] for store in (new, found)]
            assert digests[0] == digests[1]
            assert found.verify() == []
    assert rollouts(old.domain.data()).key == rollouts(tiny_stores.domain.data()).key


def test_verification_finds_a_digest_that_does_not_match_its_rows(tiny_stores: TinyStores, tmp_path: Path) -> None:
    path = shutil.copy(tiny_stores.policies, tmp_path / "policies.h5")
    with h5py.File(path, "a") as file:
        file["policies/reach"].attrs[PARTS] = np.bytes_(b'{"train":"0","test":"1"}')
    with PolicyStore.open(path) as store:
        assert store.verify() == [
            f"reach: the rows of the split {split} do not match their digest" for split in ("train", "test")
        ]


def test_stores_that_hold_no_training_policy_still_serve_methods_that_train_nothing(tmp_path: Path) -> None:
    with PolicyStoreWriter(tmp_path / "p.h5", METAWORLD_LAYOUT, {}) as writer:
        writer.append("reach", np.zeros((1, METAWORLD_LAYOUT.size)), 0, 0, 1.0, 1, 0.0, "test")
        digest = writer.close()
    with TrajectoryStoreWriter(tmp_path / "t.h5", {}, digest) as episodes:
        episodes.append("reach", np.zeros((66, 39)), np.zeros((65, 4)), np.zeros(65), TINY_SUCCESS_STEP, 1, 0, "test")
    domain = MetaWorld(policies=str(tmp_path / "p.h5"), trajectories=str(tmp_path / "t.h5"))
    assert domain.data().for_training.policies.described() == {"splits": ["train"], "parts": {}}


def part_of(data: Data, *rows: int) -> Data:
    """With some training policies of each task alone."""
    kept = tuple((task, rows) for task in ("door-open", "reach"))
    files = (dataclasses.replace(file, kept=kept) for file in (data.policies, data.trajectories))
    policies, trajectories = files
    return dataclasses.replace(data, policies=policies, trajectories=trajectories)


def test_training_on_some_policies_is_kept_by_these_and_their_episodes(tiny_stores: TinyStores, tmp_path: Path) -> None:
    data, more = tiny_stores.domain.data(), with_more(tiny_stores, tmp_path / "more", "train")
    stages = [rollouts(each).trained for each in (data, part_of(data, 0, 1), part_of(data, 0, 2), part_of(more, 0, 1))]
    whole, some, others, grown = (stage.key for stage in stages if stage is not None)
    assert len({whole, some, others}) == 3
    assert some == grown, "a policy that is not read changes nothing"


def test_training_on_some_policies_sees_no_others(tiny_stores: TinyStores) -> None:
    data = part_of(tiny_stores.domain.data(), 0, 4).for_training
    with data.open_policies() as policies, data.open_trajectories() as episodes:
        assert policies.rows("reach").tolist() == [0, 4]
        assert {each.policy_row for each in episodes.episodes("reach")} == {0, 4}
        for look in (
            lambda: policies.read("reach", [1]),
            lambda: episodes.episode("reach", 1),
        ):
            with pytest.raises(UserError, match="Training reads the splits train"):
                look()
    params, _ = training_policies(data.policies)
    assert len(params) == 4
    prompts, held_out = training_prompts(data, 0.25)
    assert set(prompts.policy_row.tolist()) | set(held_out.policy_row.tolist()) == {0, 4}
    assert len(training_observations(data, "prompts")) == (len(prompts) + len(held_out)) * 20
