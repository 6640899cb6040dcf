"""Training where the environment ends episodes, and where two numbers tell tasks apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hyprepro.collect.parameter import loop
from hyprepro.collect.parameter.collection import ParameterCollection
from hyprepro.collect.parameter.memory import Memory
from hyprepro.collect.parameter.parent import Parent, TrainParent, conditions
from hyprepro.collect.parameter.rollouts import returns, roll
from hyprepro.collect.parameter.settings import ExpertTraining, ParameterSAC, ParameterSelection, ParentTraining
from hyprepro.collect.sac.networks import actor_forward
from hyprepro.collect.sac.update import Batch
from hyprepro.engine.cache import ArtifactCache
from hyprepro.errors import UserError
from hyprepro.policies.forward import StackedPolicies
from tests.collect.parameter.tiny import made
from tests.domains.falls import HORIZON, LAYOUT, FallDomain

DOMAIN = FallDomain()
SAC = ParameterSAC(batch_size=8, critic_width=8)
PARENT = ParentTraining(
    sac=SAC, updates=12, environments=3, updates_per_step=0.1, first_rounds=1, report_every=6, checkpoints=2
)
STAGE = TrainParent(DOMAIN, PARENT, DOMAIN.training, 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    work = tmp_path_factory.mktemp("parent")
    made(STAGE, ArtifactCache(work / "cache"), work)
    return work


@pytest.fixture(scope="module")
def parent(folder: Path) -> Parent:
    return STAGE.load(folder)


def test_where_an_episode_ends_the_next_one_begins_and_nothing_follows(folder: Path) -> None:
    memory = Memory(DOMAIN, folder, STAGE.rounds, PARENT.environments)
    fields = memory.fields
    falls = fields["parameters"][:, :, 0]
    assert set(np.unique(falls)) == {3.0, 99.0}
    for number, slot in np.ndindex(*falls.shape):
        times = np.arange(HORIZON) % falls[number, slot]  # how far its episode is before each step
        wanted = times == falls[number, slot] - 1
        np.testing.assert_array_equal(fields["ended"][number, :, slot], wanted)
        np.testing.assert_array_equal(fields["observations"][number, :-1, slot, 1], times)
    starts = fields["observations"][:, :, :, 0]
    assert len({float(start) for start in starts[:, 0].ravel()}) > 2, "starts differ"


def test_no_value_follows_the_end_of_an_episode(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Batch] = []
    update = loop.StackedSAC.update

    def spied(self: Any, batch: Batch, *rest: Any) -> Any:
        seen.append(batch)
        return update(self, batch, *rest)

    monkeypatch.setattr(loop.StackedSAC, "update", spied)
    made(STAGE, ArtifactCache(tmp_path / "cache"), tmp_path)
    ended = torch.cat([batch.dones for batch in seen])  # type: ignore[misc]
    assert 0 < ended.mean() < 0.5


def test_no_step_is_relabelled_where_the_domain_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(DOMAIN, folder, STAGE.rounds, PARENT.environments)
    found = memory.gather(torch.arange(STAGE.rounds * HORIZON * PARENT.environments))
    weights = DOMAIN.layout.to_environment(found.actions.numpy())[:, 0] + found.parameters.numpy()[:, 1]
    np.testing.assert_allclose(DOMAIN.rewards(found.signals, found.actions, found.parameters), weights, rtol=1e-5)


def test_a_parent_told_two_numbers_is_folded_at_both(parent: Parent) -> None:
    raw = np.random.default_rng(0).normal(size=(20, 2)) * parent.normaliser.scale + parent.normaliser.mean
    seen = torch.from_numpy(parent.normaliser.apply(raw))
    policies = {}
    for task in DOMAIN.sweep:
        told = conditions(DOMAIN, [task]).expand(20, 2)
        mean, _ = actor_forward(parent.networks.actor, torch.cat((seen, told), 1)[None])
        policies[task] = StackedPolicies(LAYOUT, parent.policy(task)[None]).means(torch.from_numpy(raw).float())
        torch.testing.assert_close(policies[task], torch.tanh(mean), rtol=1e-4, atol=1e-4)
    first, second, _ = policies.values()
    assert not torch.allclose(first, second)


def test_one_policy_for_all_is_told_nothing(tmp_path: Path) -> None:
    stage = TrainParent(DOMAIN, PARENT.model_copy(update={"told": False}), DOMAIN.training, 0)
    found = made(stage, ArtifactCache(tmp_path / "cache"), tmp_path)
    assert found.networks.actor["linear1.weight"].shape[1] == LAYOUT.observation_size
    np.testing.assert_array_equal(found.policy(DOMAIN.sweep[0]), found.policy(DOMAIN.sweep[2]))


def test_returns_stop_where_an_episode_does(parent: Parent) -> None:
    task = DOMAIN.sweep[0]
    run = roll(DOMAIN, LAYOUT, parent.policies(task)[:2], [task, DOMAIN.sweep[2]], [1, 2])
    assert (run.steps.tolist(), run.ended.tolist()) == ([3, HORIZON], [True, False])
    assert not run.rewards[0, 3:].any()
    found = returns(DOMAIN, LAYOUT, parent.policies(task)[:2], [task, DOMAIN.sweep[2]], [1, 1])
    assert found.shape == (2, 2)
    assert found[0, 0] == pytest.approx(found[0, 1])


@pytest.mark.parametrize("route", ["parent", "scratch"])
def test_a_collection_of_it(tmp_path: Path, route: str) -> None:
    experts = ExpertTraining(sac=SAC, updates=6, updates_per_step=0.5, checkpoint_every=3)
    few = ParameterSelection(policies=1, starts=1, offline_episodes=2, expert_episodes=1, prompt_episodes=1)
    settings: dict[str, Any] = {"parent": PARENT, "experts": experts, "selection": few}
    collection = ParameterCollection(domain=DOMAIN, route=route, **settings)
    stages, cache = collection.stages(), ArtifactCache(tmp_path / "cache")
    assert [stage.task for stage in stages] == list(DOMAIN.sweep)  # type: ignore[attr-defined]
    assert [stage.split for stage in stages] == ["train", "test", "train"]  # type: ignore[attr-defined]
    found = made(stages[0], cache, tmp_path / "first")
    assert {len(episode.actions) for episode in found.episodes} == {3}
    assert {len(episode.observations) for episode in found.episodes} == {4}
    assert all(episode.terminated for episode in found.episodes)
    whole = made(stages[2], cache, tmp_path / "last")
    assert {(len(episode.actions), episode.terminated) for episode in whole.episodes} == {(HORIZON, False)}


def test_where_nothing_can_be_shared_experts_of_tested_tasks_need_not_say_so() -> None:
    collection = ParameterCollection(domain=DOMAIN, route="scratch", test=())
    collection.check()
    assert collection.train_tasks == DOMAIN.sweep
    with pytest.raises(UserError, match="other experts would know"):
        collection.model_copy(update={"route": "parent"}).check()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"parent": ParentTraining(relabelled=0.5)}, "says nothing of another fall"),
        ({"experts": ExpertTraining(sharing="experts")}, "says nothing of another fall"),
        ({"parent": ParentTraining(told=False)}, "is told the task"),
        ({"randomised": ParentTraining()}, "is told the task"),
        ({"train": ("fall-5.000-0.000",)}, "is for testing"),
        ({"train": ("fall-4.000-0.000", "fall-4.000-0.000")}, "stands there twice"),
        ({"train": ("fall-4.000-7.000",)}, "outside -1 to 1"),
    ],
)
def test_settings_that_do_not_fit_the_domain(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        ParameterCollection(domain=DOMAIN, **settings).check()
