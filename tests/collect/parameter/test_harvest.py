"""Which checkpoints of a velocity are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hyprepro.collect.parameter.collection import ParameterCollection
from hyprepro.collect.parameter.experts import TrainExperts
from hyprepro.collect.parameter.harvest import HarvestParameter
from hyprepro.engine.cache import ArtifactCache
from hyprepro.errors import UserError
from tests.collect.parameter.tiny import DOMAIN, EXPERTS, FEW, PARENT, made


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ArtifactCache:
    """Shared by the tests of this module: parent and experts are trained once."""
    torch.set_num_threads(1)
    return ArtifactCache(tmp_path_factory.mktemp("cache"))


def test_the_best_checkpoints_can_be_chosen(cache: ArtifactCache, tmp_path: Path) -> None:
    collection = ParameterCollection(
        domain=DOMAIN,
        train=(0.3, 1.05, 2.55),
        test=(),
        parent=PARENT.training,
        experts=EXPERTS,
        selection=FEW.model_copy(update={"rule": "best"}),
    )
    found = made(collection.stages()[2], cache, tmp_path / "best")
    assert len(found.scored) == 4  # where the run started is no candidate
    assert sorted(p.returns for p in found.policies) == sorted(found.scored[:, 3])[-2:]


def harvest_of(cache: ArtifactCache, work: Path, **selection: Any) -> Any:
    """Of the velocity 1.05, whose run keeps its start and the policies after 5, 10, 15 and 20 updates."""
    chosen = FEW.model_copy(update=selection)
    experts = TrainExperts(DOMAIN, PARENT, EXPERTS, PARENT.tasks, 0)
    return made(HarvestParameter(DOMAIN, PARENT, experts, chosen, "velocity-1.050", "train", 0), cache, work)


def test_stored_checkpoints_are_a_stride_apart(cache: ArtifactCache, tmp_path: Path) -> None:
    steps = [policy.step for policy in harvest_of(cache, tmp_path / "all", policies=4).policies]
    assert [p.step for p in harvest_of(cache, tmp_path / "two", stride=2).policies] == steps[1::2]
    assert [p.step for p in harvest_of(cache, tmp_path / "three", stride=3).policies] == steps[::3]
    assert len(harvest_of(cache, tmp_path / "five", stride=5).policies) == 1


def test_deterministic_episodes_are_of_policies_evenly_spread_or_of_the_last_one(
    cache: ArtifactCache, tmp_path: Path
) -> None:
    def rows(**selection: Any) -> list[int]:
        found = harvest_of(cache, tmp_path / "shown", policies=4, prompt_episodes=3, expert_episodes=2, **selection)
        assert [each.policy_row for each in found.episodes if each.split == "train"] == [-1, -1, 0, 3]
        return [each.policy_row for each in found.episodes if each.split == "validation"]

    assert rows() == [0, 2, 3]
    assert rows(shown="last") == [3, 3, 3]


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the four checkpoints return; the start returns -5."""
    found: list[float] = []

    def returns(domain: Any, layout: Any, params: np.ndarray, tasks: Any, seeds: Any) -> np.ndarray:
        return np.repeat([[-5.0]] if len(params) == 1 else np.array(found)[:, None], len(seeds), axis=1)

    monkeypatch.setattr("hyprepro.collect.parameter.harvest.returns", returns)
    return found


@pytest.mark.parametrize(
    ("selection", "stored"),
    [
        ({"acceptance": 1.0}, [-4.0, -6.0]),
        ({"acceptance": 0.0}, [-4.0]),
        ({"acceptance": None}, [-4.0, -9.0, -6.0, -20.0]),
        ({"acceptance": 5.0, "rule": "best", "policies": 2}, [-4.0, -6.0]),
    ],
)
def test_only_checkpoints_as_good_as_accepted_are_stored(
    cache: ArtifactCache, tmp_path: Path, scores: list[float], selection: dict[str, Any], stored: list[float]
) -> None:
    scores += [-4.0, -9.0, -6.0, -20.0]
    found = harvest_of(cache, tmp_path / "some", **({"policies": 4} | selection))
    assert [policy.returns for policy in found.policies] == stored


def test_a_run_that_only_fell_is_refused(cache: ArtifactCache, tmp_path: Path, scores: list[float]) -> None:
    scores += [-16.0, -15.0, -15.5, -16.0]
    with pytest.raises(UserError, match=r"No checkpoint of velocity-1\.050 returns -6\.0") as refused:
        harvest_of(cache, tmp_path / "none", policies=4, acceptance=1.0)
    assert refused.value.where == "best: -15.0"
