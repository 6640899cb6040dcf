"""Whether the batched collector learns what the reference learns: both on the same task, settings and seeds.

A run is a stage, so finished runs are kept. Its policies are tested, with their mean action, on episodes that no agent
trains on and that are the same for all. Compared are means with 95% intervals, and whether these overlap. An arena is
a family of tasks behind gymnasium.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.stats import t as student
from scipy.stats import ttest_ind

from hyprepro.collect.metaworld.settings import CLONING, Agent, CloneSettings, task_goal, training_goal
from hyprepro.collect.sac.agents import Learner, StackedSAC
from hyprepro.collect.sac.networks import Normaliser, Parameters, actor_forward
from hyprepro.collect.sac.replay import Replay
from hyprepro.collect.sac.settings import SACTraining
from hyprepro.domains.cheetah_vel.domain import CheetahVel as Velocities
from hyprepro.domains.metaworld.env import MetaWorldEnv, scripted_action
from hyprepro.domains.metaworld.gym import MetaWorldGym
from hyprepro.domains.metaworld.tasks import VALIDATION, check_task
from hyprepro.engine.stage import Report, Stage, device
from hyprepro.policies.layout import CHEETAH_LAYOUT, METAWORLD_LAYOUT, PolicyLayout

if TYPE_CHECKING:
    from stable_baselines3 import SAC


LEVEL = 0.95
DIGITS = 4


def interval(values: NDArray[np.floating[Any]]) -> tuple[float, float, float]:
    """Mean of independent seeds `[S]` and the ends of its 95% interval (Student's t; the mean alone for one seed)."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, mean, mean
    half = float(student.ppf(0.5 + LEVEL / 2, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def difference(one: NDArray[np.floating[Any]], other: NDArray[np.floating[Any]]) -> tuple[float, ...]:
    """Mean of one sample of seeds less that of another, and the ends of its 95% interval (Welch's)."""
    mean = float(np.mean(one) - np.mean(other))
    if min(len(one), len(other)) < 2 or max(np.ptp(one), np.ptp(other)) == 0:
        return round(mean, DIGITS), round(mean, DIGITS), round(mean, DIGITS)
    low, high = ttest_ind(one, other, equal_var=False).confidence_interval(LEVEL)
    return round(mean, DIGITS), round(float(low), DIGITS), round(float(high), DIGITS)


def compared(curves: Mapping[str, NDArray[np.floating[Any]]], updates: NDArray[np.int64]) -> dict[str, Any]:
    """One task's curves side by side.

    Args:
        curves: A score of each trainer's agents `[seeds, points, episodes]`.
        updates: Gradient steps at each point `[points]`.

    Returns:
        `updates`; for each trainer `mean`, `low`, `high` a point and `seeds` (each agent's mean); `overlap` a point,
        and `overlaps`, whether all do; `difference`, the first trainer less the second in the mean return of all
        points after the start, `mean`, `low` and `high`.
    """
    found: dict[str, Any] = {"updates": updates.tolist()}
    ends, overall = {}, []
    for name, scores in curves.items():
        agents = np.asarray(scores, dtype=np.float64).mean(axis=2)
        overall.append(agents[:, 1:].mean(axis=1))
        points = [interval(agents[:, point]) for point in range(agents.shape[1])]
        ends[name] = np.array(points)
        columns = dict(zip(("mean", "low", "high"), ends[name].T.round(DIGITS).tolist(), strict=True))
        found[name] = {**columns, "seeds": agents.round(DIGITS).tolist()}
    low = np.max([end[:, 1] for end in ends.values()], axis=0)
    high = np.min([end[:, 2] for end in ends.values()], axis=0)
    found["overlap"] = (low <= high).tolist()
    found["overlaps"] = bool(np.all(low <= high))
    found["difference"] = dict(zip(("mean", "low", "high"), difference(*overall), strict=True))
    return found


Environment = gymnasium.Env[Any, Any]
Observation = NDArray[np.float32]

_EXPERT_EPISODES = 3
_VELOCITY = "velocity-"
_STARTS = 1_000_000  # seeds of an agent's episodes


@dataclass(frozen=True)
class Arena:
    """One task to learn. Actions are in [-1, 1]; each `reset` begins another episode.

    Attributes:
        layout: Layout of its policies.
        guide: Who acts in the steps before the first update, given an observation and randomness: a noisy expert, or
            chance.
        train: Makes the environment that a seed's agent learns in.
        test: Makes the environment whose episodes, from the first on, are the same for every agent.
    """

    layout: PolicyLayout
    guide: Callable[[Observation, np.random.Generator], NDArray[np.float32]]
    train: Callable[[int], Environment]
    test: Callable[[], Environment]


def arena(task: str, episode_steps: int) -> Arena:
    """The arena of a task.

    Args:
        task: A Meta-World task, or a velocity of Cheetah-Vel.
        episode_steps: Length of a Meta-World episode; those of Cheetah-Vel have 200 steps.

    Raises:
        UserError: An unknown task.
    """
    check_arena(task)
    return _cheetah(task) if task.startswith(_VELOCITY) else _metaworld(task, episode_steps)


def check_arena(task: str) -> str:
    """The task itself if there is an arena for it (`UserError` if not)."""
    if task.startswith(_VELOCITY):
        Velocities().parameter(task)
        return task
    return check_task(task)


class _Seeded(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Every episode begins with the next seed, whatever the caller wants."""

    def __init__(self, env: Environment, first: int) -> None:
        super().__init__(env)
        self._next = first

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin the next episode."""
        self._next += 1
        return self.env.reset(seed=self._next - 1, options=options)


def _cheetah(task: str) -> Arena:
    """Fresh starts every episode; before the first update chance acts, for want of an expert."""
    from hyprepro.domains.cheetah_vel.env import CheetahVel

    (velocity,) = Velocities().parameter(task)

    def train(seed: int) -> Environment:
        return _Seeded(CheetahVel(velocity), _STARTS * (seed + 1))

    def test() -> Environment:
        return _Seeded(CheetahVel(velocity), 0)

    return Arena(CHEETAH_LAYOUT, chance(CHEETAH_LAYOUT), train, test)


def chance(layout: PolicyLayout) -> Callable[[Observation, np.random.Generator], NDArray[np.float32]]:
    """Actions that do not look."""
    return lambda observation, rng: rng.uniform(-1.0, 1.0, layout.action_size).astype(np.float32)


def _metaworld(task: str, steps: int) -> Arena:
    """Fresh goals every episode, in the coordinates that a collection learns in; first demonstrations, with noise."""
    normaliser, noise = _normaliser(task, steps), CloneSettings().noise

    def guide(observation: Observation, rng: np.random.Generator) -> NDArray[np.float32]:
        action = scripted_action(task, observation * normaliser.scale + normaliser.mean)
        return np.clip(action + noise * rng.standard_normal(action.shape), -1.0, 1.0).astype(np.float32)

    def train(seed: int) -> Environment:
        return MetaWorldGym(task, partial(training_goal, Agent(task, seed)), steps, normaliser.apply)

    def test() -> Environment:
        return MetaWorldGym(task, partial(task_goal, VALIDATION, task), steps, normaliser.apply)

    return Arena(METAWORLD_LAYOUT, guide, train, test)


def _normaliser(task: str, steps: int) -> Normaliser:
    """Fitted to a few of the scripted expert's episodes."""
    from hyprepro.collect.metaworld.clones import labelled_episode

    settings, rng, env = CloneSettings(episode_steps=steps), np.random.default_rng(0), MetaWorldEnv(task)
    rows = [
        labelled_episode(env, task_goal(CLONING, task, index), None, settings, 0.0, rng)[0]
        for index in range(_EXPERT_EPISODES)
    ]
    return Normaliser.fit(np.concatenate(rows), settings.smallest_scale)


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
