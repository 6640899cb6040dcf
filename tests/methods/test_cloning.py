"""Cloning: a policy a prompt from its own pairs, and one network told the condition, which folds into policies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hyprepro.domains.base import Query
from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.domains.metaworld.domain import MetaWorld
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import METRICS, read_metrics
from hyprepro.errors import UserError
from hyprepro.methods.cloning import ConditionedCloning, PromptCloning, TrainConditionedCloning
from hyprepro.methods.cloning_net import TrainedCloning, task_pairs
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import ACTIVATIONS, METAWORLD_LAYOUT, Activation, PolicyLayout
from hyprepro.stores.prompts import Prompts, block_pairs, interpolated_pairs, prompt_from_episode
from tests.cheetah_stores import CheetahStores
from tests.conftest import TinyStores
from tests.gen_hyprl.test_stages import EMBEDDING, make
from tests.methods.shared import asked, named, params_of, prompted, prompts_of

KNOWN = (0.375, 1.05, 1.5)


def recorded(curvature: float) -> tuple[Prompts, np.ndarray, np.ndarray]:
    """A prompt cut from an episode whose observations hold the previous frame, as Meta-World's do."""
    time = np.arange(70.0)[:, None]
    frames = np.sin(np.arange(18)) + 0.01 * time * np.arange(18) + curvature * time**2
    observations = np.concatenate([frames, np.vstack([frames[:1], frames[:-1]]), np.full((70, 3), 0.5)], axis=1)
    actions = np.random.default_rng(0).uniform(-1, 1, (69, 4))
    tau, tau_hat = prompt_from_episode(observations, actions, 61)
    one = np.zeros(1, dtype=np.int64)
    return Prompts("reach", "test", tau[None], tau_hat[None], one, one), observations, actions


@pytest.mark.parametrize("curvature", [0.0, 0.001])
def test_the_steps_between_are_filled_in(curvature: float) -> None:
    prompts, observations, actions = recorded(curvature)
    states, targets = interpolated_pairs(prompts)
    np.testing.assert_allclose(targets[0], actions[:58], atol=1e-6)
    np.testing.assert_allclose(states[0, 0::3], observations[0:58:3], atol=1e-5)
    np.testing.assert_allclose(states[0, 2::3, :18], observations[2:58:3, :18], atol=1e-5)
    np.testing.assert_allclose(states[0], observations[:58], atol=1e-5 + curvature)  # a midpoint misses by curvature


def test_blocks_are_the_states_with_the_action_taken_there() -> None:
    prompts, observations, actions = recorded(0.001)
    states, targets = block_pairs(prompts)
    np.testing.assert_allclose(states[0], observations[0:60:3], atol=1e-6)
    np.testing.assert_allclose(targets[0], actions[0:60:3], atol=1e-6)


@pytest.mark.parametrize("pairs", ["blocks", "interpolated"])
def test_a_cloned_policy_acts_as_its_prompt_does(tiny_stores: TinyStores, pairs: str) -> None:
    data = tiny_stores.domain.data()
    prompts = prompts_of(data, "reach")
    params = params_of(
        PromptCloning(pairs=pairs, deviation_floor=0.05, input_noise=0.0).deploy(None, data, prompted(prompts), 0)
    )
    wanted = prompts.actions[:, :, 0]
    policies = StackedPolicies(METAWORLD_LAYOUT, params)
    own = [policies.act(np.full(20, i), prompts.states[i]) for i in range(len(prompts))]
    errors = [np.mean((own[i] - wanted[i]) ** 2) for i in range(len(prompts))]
    spread = [np.mean((wanted[i] - wanted[i].mean(axis=0)) ** 2) for i in range(len(prompts))]
    assert max(errors) < 0.3 * max(spread)
    other = np.mean((own[0] - wanted[1]) ** 2)
    assert other > 10 * max(errors)


@pytest.mark.parametrize("second", ACTIVATIONS)
def test_standardisation_is_folded_into_ordinary_weights(second: Activation) -> None:
    layout = PolicyLayout.mlp(5, 16, 2, ("relu", second))
    rng = np.random.default_rng(0)
    observations = (100 + 20 * rng.normal(0, 1, (3, 30, 5))).astype(np.float32)  # useless unless standardised
    actions = np.tanh((observations[:, :, :2] - 100) / 20)
    params = PromptCloning(steps=400, learning_rate=0.01, input_noise=0.0).clone(layout, observations, actions, seed=0)
    policies = StackedPolicies(layout, params)
    for i in range(3):
        got = policies.act(np.full(30, i), observations[i])
        assert np.mean((got - actions[i]) ** 2) < 0.01
    assert not layout.split(params)["log_std.weight"].any()


def test_the_same_seed_gives_the_same_policies_and_another_seed_others(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data()
    prompts = prompts_of(data, "door-open")
    method = PromptCloning(steps=3, input_noise=0.1)
    first, again, other = (params_of(method.deploy(None, data, prompted(prompts), seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.isfinite(first).all()


def errors_of(stage: TrainConditionedCloning, cache: ArtifactCache) -> list[float]:
    lines = read_metrics(make(stage, cache) / METRICS)
    return [line["validation_error"] for line in lines if "validation_error" in line]


def test_told_a_velocity_it_learns_and_folds(cheetah_stores: CheetahStores, tmp_path: Path) -> None:
    data, cache = cheetah_stores.domain.data().trained_on(named(KNOWN)), ArtifactCache(tmp_path)
    method = ConditionedCloning(steps=150, batch_size=64)
    stage = method.training(data, 0)
    errors = errors_of(stage, cache)
    assert errors[-1] < 0.3 * errors[0]
    trained = stage.load(cache.path_of(stage))
    params = params_of(method.deploy(trained, data, asked(1.2), 0))
    assert len(params) == 1
    assert_folded(trained, asked(1.2)._replace(n=1), params)


def test_told_a_prompt_it_learns_and_folds(tiny_stores: TinyStores, tmp_path: Path) -> None:
    data, cache = tiny_stores.domain.data(), ArtifactCache(tmp_path)
    method = ConditionedCloning(embedding=EMBEDDING, steps=150, batch_size=64)
    stage = method.training(data, 0)
    errors = errors_of(stage, cache)
    assert errors[-1] < 0.7 * errors[0]
    moved = cache.path_of(stage).rename(tmp_path / "elsewhere")
    trained, query = stage.load(moved), prompted(prompts_of(data, "reach"))
    params = params_of(method.deploy(trained, data, query, 0))
    assert params.shape == (query.n, METAWORLD_LAYOUT.size)
    assert len(np.unique(params, axis=0)) == query.n, "every prompt has a policy of its own"
    assert_folded(trained, query, params)


def assert_folded(trained: TrainedCloning, query: Query, params: np.ndarray) -> None:
    """The deployed policies act as the network does when it is told the conditions."""
    layout = trained.policy.layout
    observations = np.random.default_rng(0).normal(size=(len(params), layout.observation_size)).astype(np.float32)
    folded = StackedPolicies(layout, params).act(np.arange(len(params)), observations)
    with torch.no_grad():
        wanted = trained.policy(torch.from_numpy(observations), torch.cat(trained.conditions.of(query), dim=1))
    np.testing.assert_allclose(folded, wanted.numpy(), atol=1e-4)


def test_it_reads_the_training_velocities_alone(cheetah_stores: CheetahStores) -> None:
    data = cheetah_stores.domain.data().trained_on(named(KNOWN))
    for episodes, count in (("expert", 600), ("offline", 600), ("both", 1200)):
        stage = ConditionedCloning(episodes=episodes).training(data, 0)
        pairs, conditions = task_pairs(stage.episodes({}), stage.parameters, stage.ranges)
        assert pairs.observations.shape == (count, 17)
        assert pairs.rows.unique().tolist() == [0, 1, 2]
        assert (conditions[:, 0] * 3 / 12**0.5 + 1.5).tolist() == pytest.approx(KNOWN)


def test_a_velocity_without_episodes(cheetah_stores: CheetahStores, monkeypatch: pytest.MonkeyPatch) -> None:
    data = cheetah_stores.domain.data().trained_on(named(KNOWN))
    with data.open_trajectories() as store:
        monkeypatch.setattr(type(store), "episodes", lambda *arguments: iter(()))
        with pytest.raises(UserError, match=r"no episode of velocity-0\.375 in the split validation"):
            ConditionedCloning(episodes="expert").training(data, 0).episodes({})


def test_a_row_says_which_episodes_were_cloned() -> None:
    assert "stored expert and offline episodes" in ConditionedCloning().information(CheetahVel())
    assert "stored expert episodes" in ConditionedCloning(episodes="expert").information(CheetahVel())
    assert ConditionedCloning().information(MetaWorld()).startswith("the prompt; ")
