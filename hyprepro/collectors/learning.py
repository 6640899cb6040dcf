"""Whether the batched collector learns what the reference learns: both on the same task, settings and seeds.

A run is a stage, so finished runs are kept. Its policies are tested, with their mean action, on episodes that no agent
trains on and that are the same for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from hyprepro.collect.sac.agents import Learner, StackedSAC
from hyprepro.collect.sac.networks import Parameters, actor_forward
from hyprepro.collect.sac.replay import Replay
from hyprepro.collectors.collection import SACTraining
from hyprepro.collectors.environments import Arena, Environment, arena
from hyprepro.engine.stage import Report, Stage, device

if TYPE_CHECKING:
    from stable_baselines3 import SAC

TRAINERS = ("stacked", "stable-baselines3")


class Curves(NamedTuple):
    """Test results of some agents while they learn.

    Attributes:
        updates: Gradient steps at each point `[points]`.
        returns: Undiscounted return `[seeds, points, episodes]`.
        success: Whether the episode ever succeeded, likewise; all 0 where a task has no success.
    """

    updates: NDArray[np.int64]
    returns: NDArray[np.float32]
    success: NDArray[np.float32]


@dataclass(frozen=True)
class LearningRun(Stage):
    """Agents of one task, trained by one trainer from random weights, their memory begun by the task's guide.

    Attributes:
        training: Settings; `training.trainer` is the trainer, `checkpoint_every` the updates between two points.
        task: The task.
        seeds: A seed an agent. The batched trainer trains them as one stack, the reference one after the other.
        episodes: Test episodes a point.
    """

    kind: ClassVar[str] = "learning"
    training: SACTraining
    task: str
    seeds: tuple[int, ...]
    episodes: int

    @property
    def label(self) -> str:
        """Who learns what."""
        return f"{self.task} by {self.training.trainer}, seeds {', '.join(map(str, self.seeds))}"

    @property
    def cost(self) -> float:
        """At about 100 updates a second of the reference, 300 of ours."""
        rate = 300.0 if self.training.trainer == "stacked" else 100.0
        return len(self.seeds) * self.training.updates / rate

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write curves.safetensors."""
        place = arena(self.task, self.training.episode_steps)
        learn = _stacked if self.training.trainer == "stacked" else _reference
        test = place.test
        points = []
        for number, actors in enumerate(learn(self, place)):
            points.append([_tested(actor, test(), self.episodes) for actor in actors])
            report.progress(number, self.points, episode_return=float(np.mean([r for r, _ in points[-1]])))
        found = np.asarray(points, dtype=np.float32)  # [points, seeds, 2, episodes]
        updates = self.training.checkpoint_every * np.arange(len(points), dtype=np.int64)
        returns, success = (np.ascontiguousarray(found[:, :, i].swapaxes(0, 1)) for i in range(2))
        save_file({"updates": updates, "returns": returns, "success": success}, work / "curves.safetensors")

    @property
    def points(self) -> int:
        """Points after the one at the start."""
        return self.training.updates // self.training.checkpoint_every

    def load(self, path: Path) -> Curves:
        """The curves."""
        return Curves(**load_file(path / "curves.safetensors"))


def _stacked(stage: LearningRun, place: Arena) -> Iterator[list[Parameters]]:
    """The actors of all seeds at every point, by the batched collector."""
    training, layout, count = stage.training, place.layout, len(stage.seeds)
    words = np.random.SeedSequence([1, *stage.seeds]).generate_state(2)
    generator, rng = torch.Generator().manual_seed(int(words[0])), np.random.default_rng(int(words[1]))
    sac = StackedSAC(training.sac, layout, count, generator, device=device())
    replay = Replay(count, training.replay, layout.observation_size, layout.action_size, sac.device)
    if sac.device.type != "cpu":
        generator = torch.Generator(sac.device).manual_seed(int(words[0]))
    learner = Learner(sac, replay, generator, rng)
    crowd = _Crowd([place.train(seed) for seed in stage.seeds])
    shape = (count, layout.action_size)
    yield _each(sac.actor)
    steps = updates = 0
    every = round(1 / training.updates_per_step)
    while updates < stage.points * training.checkpoint_every:
        if steps < training.first_steps:
            actions = np.stack([place.guide(observation, rng) for observation in crowd.observations])
        else:
            noise = torch.randn(shape, generator=generator, device=sac.device)
            actions = sac.act(torch.from_numpy(crowd.observations), noise)
        replay.add(**crowd.step(actions), actions=actions, expert_actions=np.zeros(shape, dtype=np.float32))
        steps += 1
        if steps > training.first_steps and steps % every == 0:
            learner.update()
            updates += 1
            if updates % training.checkpoint_every == 0:
                yield _each(sac.actor)


class _Crowd:
    """Environments stepped together; each begins its next episode when one ends."""

    def __init__(self, envs: Sequence[Environment]) -> None:
        self._envs = envs
        self.observations = np.stack([env.reset()[0] for env in envs]).astype(np.float32)

    def step(self, actions: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """One step of each; what the replay remembers of it but the actions."""
        before, rows, rewards, dones = self.observations.copy(), self.observations.copy(), [], []
        for number, (env, action) in enumerate(zip(self._envs, actions, strict=True)):
            rows[number], reward, ended, truncated, _ = env.step(action)
            rewards.append(reward)
            dones.append(ended)
            self.observations[number] = env.reset()[0] if ended or truncated else rows[number]
        return {
            "observations": before,
            "next_observations": rows,
            "rewards": np.array(rewards),
            "dones": np.array(dones, dtype=np.float32),
        }


def _reference(stage: LearningRun, place: Arena) -> Iterator[list[Parameters]]:
    """The same by stable-baselines3, seed after seed."""
    from hyprepro.collect.sac.reference import actor_of, reference_sac

    training, every = stage.training, stage.training.checkpoint_every
    kept: list[list[Parameters]] = []
    for seed in stage.seeds:
        env = place.train(seed)
        model = reference_sac(training, env, seed, place.layout.hidden)
        _guided(model, place, env, training.first_steps, seed)
        kept.append([actor_of(model)])
        for _ in range(stage.points):
            model.learn(round(every / training.updates_per_step), reset_num_timesteps=False)
            kept[-1].append(actor_of(model))
    yield from map(list, zip(*kept, strict=True))


def _guided(model: SAC, place: Arena, env: Environment, steps: int, seed: int) -> None:
    """Put the guide's steps into the model's memory, in place of the random ones at its start."""
    model.learning_starts = 0
    assert model.replay_buffer is not None
    crowd, rng = _Crowd([env]), np.random.default_rng([1, seed])
    for _ in range(steps):
        actions = place.guide(crowd.observations[0], rng)[None]
        seen = crowd.step(actions)
        model.replay_buffer.add(
            seen["observations"], seen["next_observations"], actions, seen["rewards"], seen["dones"], [{}]
        )


def _each(actor: Parameters) -> list[Parameters]:
    """Copies of every agent of a stack as a stack of one."""
    count = len(next(iter(actor.values())))
    return [{name: tensor[i : i + 1].cpu().clone() for name, tensor in actor.items()} for i in range(count)]


def _tested(actor: Parameters, env: Environment, episodes: int) -> tuple[list[float], list[float]]:
    """Return and success of the policy's mean action in the first test episodes."""
    returns, solved = [], []
    for number in range(episodes):
        observation, _ = env.reset(seed=number)
        total, success, over = 0.0, False, False
        while not over:
            with torch.inference_mode():
                mean, _ = actor_forward(actor, torch.from_numpy(np.float32(observation))[None, None])
            observation, reward, ended, truncated, info = env.step(torch.tanh(mean)[0, 0].numpy())
            total += float(reward)
            success = success or bool(info.get("success", False))
            over = ended or truncated
        returns.append(total)
        solved.append(float(success))
    return returns, solved
