"""Both collectors learn, on a task small enough to be learned within a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from benchmarks import learning
from benchmarks.learning import Arena, arena, chance
from hyprepro.collect.sac.settings import SACSettings, SACTraining
from hyprepro.engine.stage import Report
from hyprepro.errors import UserError
from hyprepro.policies.layout import PolicyLayout


class Follow(gymnasium.Env[Any, Any]):
    """The action is to be the observed number; ten steps, none of which depends on the last."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, seed: int) -> None:
        self.rng, self.ended = np.random.default_rng(seed), 0

    def observe(self) -> np.ndarray:
        self.number = self.rng.uniform(-0.9, 0.9, 1).astype(np.float32)
        return self.number

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.left = 10
        return self.observe(), {}

    def step(self, action: Any) -> Any:
        reward = -float(np.abs(action - self.number)[0])
        self.left -= 1
        return self.observe(), reward, False, self.left == 0, {}


@pytest.mark.parametrize("trainer", learning.TRAINERS)
def test_a_trainer_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trainer: str) -> None:
    layout = PolicyLayout.mlp(1, 16, 1, ("relu", "relu"))
    place = Arena(layout, chance(layout), Follow, lambda: Follow(99))
    monkeypatch.setattr(learning, "arena", lambda task, steps: place)
    settings = SACSettings(batch_size=64, learning_rate=5e-3, discount=0.5, initial_temperature=0.1)
    training = SACTraining(
        sac=settings,
        trainer=trainer,
        updates=300,
        updates_per_step=1.0,
        first_steps=60,
        checkpoint_every=150,
        replay=500,
    )
    stage = learning.LearningRun(training, "follow", (0, 1), 3)
    stage.run(tmp_path, {}, Report())
    curves = stage.load(tmp_path)
    assert curves.updates.tolist() == [0, 150, 300]
    assert curves.returns.shape == curves.success.shape == (2, 3, 3)
    error = -curves.returns.mean(2) / 10
    assert (error[:, 0] > 0.3).all()
    assert (error[:, -1] < 0.12).all()
    assert not np.array_equal(curves.returns[0], curves.returns[1])


@pytest.mark.sim
def test_seeds_train_on_their_own_goals_and_are_tested_on_the_same() -> None:
    place = arena("reach", 20)
    first, other = (place.train(seed).reset()[0] for seed in (0, 1))
    assert first.shape == (39,)
    assert not np.array_equal(first, other)
    tests = [place.test() for _ in range(2)]
    episodes = [[env.reset(seed=number)[0] for number in range(2)] for env in tests]
    np.testing.assert_array_equal(episodes[0], episodes[1])
    assert not np.array_equal(episodes[0][0], episodes[0][1])


@pytest.mark.sim
def test_the_guide_of_a_metaworld_task_is_a_noisy_expert() -> None:
    place, rng = arena("reach", 150), np.random.default_rng(0)
    env = place.train(0)
    observation, _ = env.reset()
    solved = False
    for _ in range(150):
        observation, _, _, _, info = env.step(place.guide(observation, rng))
        solved = solved or info["success"]
    assert solved


@pytest.mark.sim
def test_a_velocitys_starts_are_seeded_and_its_layout_is_cheetahs() -> None:
    place = arena("velocity-0.750", 20)
    assert place.layout.observation_size == 17
    first, again, other = (place.train(seed) for seed in (0, 0, 1))
    starts = [[env.reset()[0] for _ in range(2)] for env in (first, again, other)]
    np.testing.assert_array_equal(starts[0], starts[1])
    assert not np.array_equal(starts[0][0], starts[0][1])
    assert not np.array_equal(starts[0], starts[2])
    assert not np.array_equal(place.test().reset()[0], starts[0][0])


@pytest.mark.parametrize("task", ["velocity-4.000", "velocity-fast"])
def test_a_wrong_velocity_has_no_arena(task: str) -> None:
    with pytest.raises(UserError, match="velocity"):
        arena(task, 20)


def test_an_unknown_task_has_no_arena() -> None:
    with pytest.raises(UserError, match="closest: reach"):
        arena("raech", 20)
