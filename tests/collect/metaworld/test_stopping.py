"""When a run has learnt what it is trained for: the rule, the end of training, and what is left of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hyprepro.collect.metaworld import training
from hyprepro.collect.metaworld.clones import CloneExperts
from hyprepro.collect.metaworld.settings import CloneSettings
from hyprepro.collect.metaworld.stepping import Outcome
from hyprepro.collect.metaworld.training import Stopping, TrainSAC
from hyprepro.collect.sac import checkpoint
from hyprepro.collect.sac.settings import SACSettings, SACTraining
from hyprepro.domains.metaworld.tasks import Goal
from hyprepro.engine.cache import ArtifactCache

CLONES = CloneExperts(CloneSettings(episodes=1, episode_steps=10), "scratch", ("reach",), (), 0)
TRAINING = SACTraining(
    sac=SACSettings(batch_size=8),
    updates=200,
    critic_updates=0,
    checkpoint_every=4,
    first_steps=8,
    episode_steps=8,
    replay=100,
    solved=0.75,
    solved_episodes=4,
    solved_updates=10,
)
STAGE = TrainSAC(CLONES, TRAINING, ("reach", "reach"), (0, 1))


def end_of(rule: SACTraining, *episodes: Sequence[bool]) -> list[bool]:
    """Whether it is over after each episode, of 5 updates each."""
    stopping, found = Stopping(rule, len(episodes[0])), []
    for number, success in enumerate(episodes, 1):
        stopping.hear(np.array(success), 5 * number)
        found.append(stopping.is_over(5 * number))
    return found


def test_a_run_is_over_so_many_updates_after_it_is_solved() -> None:
    """Three of four episodes in a row have succeeded for the first time after the sixth: that is 30 updates."""
    rule, won = TRAINING, [True, False, False, True, True, True, False, False, False]
    assert end_of(rule, *([each] for each in won)) == [False] * 7 + [True] * 2
    at_once = rule.model_copy(update={"solved_updates": 0})
    assert end_of(at_once, *([each] for each in won)) == [False] * 5 + [True] * 4
    assert not any(end_of(rule, *([False] for _ in range(50))))
    assert not any(end_of(at_once, *([True] for _ in range(3)))), "too few episodes to say"


def test_a_stack_waits_for_all_its_agents_and_none_loses_what_it_has() -> None:
    rule = TRAINING.model_copy(update={"solved_updates": 0})
    first, second = [True] * 4 + [False] * 8, [False] * 7 + [True] * 5
    assert end_of(rule, *zip(first, second, strict=True)).index(True) == 9


def test_without_a_rule_it_never_is() -> None:
    rule = TRAINING.model_copy(update={"solved": None, "solved_updates": 0})
    assert not any(end_of(rule, *([True] for _ in range(20))))


class Solvable:
    """Environments in which an agent succeeds from its tenth episode on, its neighbour from the twelfth."""

    def __init__(self) -> None:
        self.goals: list[int] = []

    def reset(self, goals: Sequence[Goal]) -> NDArray[np.float64]:
        self.goals = [goal.seed for goal in goals]
        return np.zeros((len(goals), 39))

    def step(self, actions: NDArray[np.float32]) -> Outcome:
        firsts = [training.training_goal(agent, first).seed for agent, first in zip(STAGE.agents, (9, 11), strict=True)]
        solved = np.array([goal >= first for goal, first in zip(self.goals, firsts, strict=True)])
        observations = np.repeat(0.1 * actions.mean(1, keepdims=True), 39, axis=1).astype(np.float64)
        return Outcome(observations, actions.sum(1).astype(np.float64), solved)


@pytest.mark.sim
def test_training_ends_there_and_goes_on_to_the_same_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second agent has three of four after the 14th episode, that is 52 updates; ten more end in the 17th."""
    monkeypatch.setattr(training, "environments", lambda *_: envs())
    whole, killed = ArtifactCache(tmp_path / "whole"), ArtifactCache(tmp_path / "killed")
    for cache in (whole, killed):
        cache.make(CLONES)
    params, updates = STAGE.load(whole.make(STAGE))
    assert updates.tolist() == list(range(0, 65, 4))
    assert params.shape == (len(updates), 2, 22_664)
    assert not np.array_equal(params[-2], params[-1]), "all that is left was trained"
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(checkpoint, "LARGEST_SHARE", float("inf"))
    with monkeypatch.context() as patched:
        patched.setattr(Solvable, "reset", dying(after=15))
        with pytest.raises(KeyboardInterrupt):
            killed.make(STAGE)
    killed.make(STAGE)
    assert killed.manifest(STAGE)["files"] == whole.manifest(STAGE)["files"]


def envs() -> AbstractContextManager[Solvable]:
    return nullcontext(Solvable())


def dying(after: int) -> object:
    """A reset that dies as a killed process would: without a chance to save."""
    reset, count = Solvable.reset, iter(range(after))

    def killed(self: Solvable, goals: Sequence[Goal]) -> NDArray[np.float64]:
        if next(count, None) is None:
            raise KeyboardInterrupt
        return reset(self, goals)

    return killed
