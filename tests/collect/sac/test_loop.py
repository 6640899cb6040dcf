"""The loop on a task of one number: when it updates, and that it goes on from any moment to the same bytes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hyprepro.collect.sac import checkpoint
from hyprepro.collect.sac.agents import Learner, StackedSAC
from hyprepro.collect.sac.checkpoint import Flushes
from hyprepro.collect.sac.loop import Loop, Observations, Schedule
from hyprepro.collect.sac.replay import Replay
from hyprepro.collect.sac.settings import SACSettings
from hyprepro.policies.layout import PolicyLayout

LAYOUT = PolicyLayout.mlp(1, 8, 1, ("relu", "relu"))
SCHEDULE = Schedule(updates=14, critic_updates=3, updates_per_step=0.5, first_steps=6, episode_steps=5)


class Killed(Exception):
    """The process ends, without a chance to save."""


class Follow(Loop):
    """Two agents whose actions are to be the numbers that they see, which depend on episode and step alone."""

    def __init__(self, work: Path, schedule: Schedule = SCHEDULE, last: float = math.inf) -> None:
        super().__init__(work, ["replay.npy"], (1, 2), schedule)
        self.last, self.made, self.trained = last, list[tuple[int, int]](), list[bool]()
        self.sac = StackedSAC(SACSettings(batch_size=4), LAYOUT, 2, self.generator)
        file = work / "replay.npy"
        self.replay = Replay(2, 8, 1, 1, slots=20, file=file, is_new=self.checkpoints.is_new)
        self.learner = Learner(self.sac, self.replay, self.generator, self.rng)

    def begin_episode(self) -> Observations:
        return np.random.default_rng(self.episode).uniform(-1, 1, (2, 1))

    def step(self, observations: Observations) -> Observations:
        if self.steps == self.last:
            raise Killed
        actions = self.sac.act(torch.from_numpy(observations).float(), torch.randn(2, 1, generator=self.generator))
        following = np.random.default_rng((self.episode, self.steps)).uniform(-1, 1, (2, 1))
        rewards = -np.abs(actions - observations)[:, 0]
        seen = {"observations": observations, "actions": actions, "next_observations": following}
        self.replay.add(**seen, rewards=rewards, dones=0.0, expert_actions=np.zeros((2, 1)))
        return following

    def learn(self, count: int) -> None:
        for _ in range(count):
            self.trained.append(self.trains_actor)
            self.learner.update(self.trains_actor)
            self.updates += 1

    def after_updates(self) -> None:
        self.made.append((self.steps, self.updates))

    def end_episode(self) -> None:
        assert self.steps == self.episode * self.schedule.episode_steps

    def must_save(self) -> bool:
        return self.replay.overwrites(self.schedule.episode_steps)

    def saved(self) -> None:
        self.replay.saved()

    def mapped(self) -> list[Flushes]:
        return [self.replay]

    def state(self) -> dict[str, Any]:
        return {"added": self.replay.added}

    def restore(self, state: dict[str, Any]) -> None:
        self.replay.restore(state["added"])


def trained(work: Path, **changes: Any) -> Follow:
    work.mkdir(exist_ok=True)
    loop = Follow(work, SCHEDULE._replace(**changes))
    loop.train()
    return loop


def test_updates_come_after_the_first_steps_at_their_rate(tmp_path: Path) -> None:
    loop = trained(tmp_path)
    assert loop.made[:3] == [(7, 1), (9, 2), (11, 3)], "a part of an update is made at once"
    assert loop.made[-1] == (33, 14)
    assert loop.steps == 35, "episodes are whole"
    assert loop.trained == [False] * 3 + [True] * 11


def test_several_updates_may_fall_on_a_step(tmp_path: Path) -> None:
    assert trained(tmp_path, updates_per_step=4.0).made == [(7, 4), (8, 8), (9, 12), (10, 14)]


@pytest.mark.parametrize("often", [True, False])
def test_killed_at_any_step_it_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, often: bool
) -> None:
    if often:
        monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
        monkeypatch.setattr(checkpoint, "LARGEST_SHARE", math.inf)
    whole = trained(tmp_path / "whole")
    for last in range(whole.steps):
        work = tmp_path / f"killed-{last}"
        work.mkdir()
        with pytest.raises(Killed):
            Follow(work, last=last).train()
        again = trained(work)
        for mine, theirs in zip(again.sac.tensors(), whole.sac.tensors(), strict=True):
            assert torch.equal(mine, theirs), last
        assert (work / "replay.npy").read_bytes() == (tmp_path / "whole" / "replay.npy").read_bytes()
