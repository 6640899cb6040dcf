"""How fast the batched collector updates and trains, against stable-baselines3 and the matrix products alone."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gymnasium
import numpy as np
import torch

from hyprepro.collect.metaworld.settings import Agent, CloneSettings, training_goal
from hyprepro.collect.sac.agents import StackedSAC
from hyprepro.collect.sac.networks import Normaliser
from hyprepro.collect.sac.reference import reference_sac
from hyprepro.collect.sac.replay import Replay
from hyprepro.collect.sac.settings import SACSettings, SACTraining
from hyprepro.domains.metaworld.env import MetaWorldEnv
from hyprepro.domains.metaworld.tasks import SEEN_TASKS
from hyprepro.engine.stage import Report
from hyprepro.policies.layout import METAWORLD_LAYOUT, PolicyLayout

_REPLAY = 5_000


@dataclass(frozen=True)
class Variant:
    """Networks and batch of one comparison: the width of all hidden layers, and the transitions an update and agent."""

    hidden: int
    batch_size: int

    @property
    def layout(self) -> PolicyLayout:
        """Meta-World's observations and actions at this width."""
        layout = METAWORLD_LAYOUT
        return PolicyLayout.mlp(layout.observation_size, self.hidden, layout.action_size, layout.activations)

    def settings(self, products: str = "float32") -> SACSettings:
        """SAC without additions, which is what the peer has."""
        return SACSettings.model_validate({"batch_size": self.batch_size, "products": products})


VARIANTS = {"128-wide": Variant(128, 128), "64-wide": Variant(64, 128), "256-wide": Variant(256, 256)}


def measure_collector(variant: Variant, agents: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Agent-updates a second of the batched collector, of stable-baselines3, and of the bare matrix products.

    They take turns, `rounds` times for about `seconds` each, on one thread with the same network sizes and batch; the
    medians are compared. Time is the thread's processor time, so that other processes disturb less. The bound counts
    only those products that one update cannot do without, nothing else.

    Args:
        variant: Networks and batch.
        agents: Agents trained as one stack.
        rounds: Turns of each contestant.
        seconds: Length of a turn.

    Returns:
        `ours`, `bfloat16` (ours with such products), `peer` and `bound` in agent-updates a second, `ratio` (ours over
        the peer's), `bound_share`, what ours takes in microseconds an agent-update (`parts`), and the settings.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ours = _Batched(variant, agents)
        contestants: dict[str, tuple[Callable[[], Any], int]] = {
            "ours": (ours.update, agents),
            "bfloat16": (_Batched(variant, agents, "bfloat16").update, agents),
            "peer": (_reference(variant), 1),
            "bound": (_products(variant, agents), agents),
            "replay": (ours.sample, agents),
            "optimiser": (ours.optimise, agents),
            "simulator": (_simulator(), 1),
        }
        speeds: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(rounds):
            for name, (update, count) in contestants.items():
                speeds[name].append(count * rate(update, seconds if name in _WHOLE else seconds / 4))
    finally:
        torch.set_num_threads(threads)
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    return {
        **{name: round(medians[name], 1) for name in _WHOLE},
        "ratio": round(medians["ours"] / medians["peer"], 3),
        "bound_share": round(medians["ours"] / medians["bound"], 3),
        "parts": _parts(medians),
        "agents": agents,
        "batch_size": variant.batch_size,
        "hidden": variant.hidden,
        "rounds": {name: [round(value, 1) for value in speeds[name]] for name in _WHOLE},
    }


def measure_training(agents: int, rounds: int) -> dict[str, Any]:
    """Environment steps a second of a whole training from scratch: simulation, acting, memory and updates.

    A quarter of an update a step and agent, random weights, 128 wide, batch 128; agents share the seen tasks out among
    themselves. The peer is stable-baselines3 with one agent in one of the tasks. They take turns, an episode each,
    on one thread and in its processor time; medians are compared.

    Args:
        agents: Agents trained as one stack.
        rounds: Turns of each contestant, after one that does not count.

    Returns:
        `ours`, `bfloat16` (ours with such products) and `peer` in environment steps a second, and their ratios.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with TemporaryDirectory() as folder:
            contestants = {
                "ours": _training(agents, "float32", Path(folder) / "float32"),
                "bfloat16": _training(agents, "bfloat16", Path(folder) / "bfloat16"),
                "peer": _reference_training(),
            }
            seconds: dict[str, list[float]] = {name: [] for name in contestants}
            for number in range(rounds + 1):
                for name, episode in contestants.items():
                    start = time.thread_time()
                    steps = episode()
                    if number:
                        seconds[name].append((time.thread_time() - start) / steps)
    finally:
        torch.set_num_threads(threads)
    speeds = {name: 1.0 / statistics.median(values) for name, values in seconds.items()}
    found = {name: round(speed, 1) for name, speed in speeds.items()}
    ratios = {f"{name}_ratio": round(speeds[name] / speeds["peer"], 3) for name in ("ours", "bfloat16")}
    return {**found, **ratios, "agents": agents}


def _scratch(products: str) -> SACTraining:
    """A training that is longer than any measurement."""
    return SACTraining(
        sac=SACSettings.model_validate({"products": products}),
        updates=1_000_000,
        critic_updates=0,
        updates_per_step=0.25,
        first_steps=_TRAINED,
        episode_steps=_TRAINED,
        replay=_REPLAY,
        checkpoint_every=1_000_000,
    )


def _training(agents: int, products: str, work: Path) -> Callable[[], int]:
    """An episode of every agent; the steps that it takes."""
    from hyprepro.collect.metaworld.clones import CloneExperts, Clones
    from hyprepro.collect.metaworld.stepping import LocalEnvironments
    from hyprepro.collect.metaworld.training import TrainSAC

    work.mkdir()
    tasks = tuple(SEEN_TASKS[number % len(SEEN_TASKS)] for number in range(agents))
    stage = TrainSAC(
        CloneExperts(CloneSettings(), "scratch", SEEN_TASKS, (), 0), _scratch(products), tasks, tuple(range(agents))
    )
    run = stage.begin(Clones({}, _PLAIN), LocalEnvironments(tasks), work, Report())

    def episode() -> int:
        run.run_episode()
        return agents * _TRAINED

    episode()  # of steps before the first update
    return episode


def _reference_training() -> Callable[[], int]:
    """The same for one agent of stable-baselines3 in one task."""
    from hyprepro.domains.metaworld.gym import MetaWorldGym

    goal, training = partial(training_goal, Agent("reach", 0)), _scratch("float32")
    model = reference_sac(training, MetaWorldGym("reach", goal, _TRAINED, _PLAIN.apply), 0)
    model.learn(2 * _TRAINED)

    def episode() -> int:
        model.learn(_TRAINED, reset_num_timesteps=False)
        return _TRAINED

    return episode


_TRAINED = 200
"""Steps of an episode of training."""

_PLAIN = Normaliser(np.zeros(METAWORLD_LAYOUT.observation_size), np.ones(METAWORLD_LAYOUT.observation_size))

_WHOLE = ("ours", "bfloat16", "peer", "bound")


def _parts(speeds: dict[str, float]) -> dict[str, float]:
    """Microseconds an agent-update; what is not measured by itself is called elementwise, dispatching included.

    The simulator's part is that of the environment steps that go with one update where a collection makes one.
    """
    times = {name: 1e6 / speed for name, speed in speeds.items()}
    known = {"products": times["bound"], "optimiser": times["optimiser"], "replay": times["replay"]}
    rest = max(0.0, times["ours"] - sum(known.values()))
    simulator = times["simulator"] / SACTraining().updates_per_step
    return {name: round(value, 1) for name, value in {**known, "elementwise": rest, "simulator": simulator}.items()}


def rate(update: Callable[[], Any], seconds: float) -> float:
    """Calls a second of this thread's processor time over at least `seconds`, after one call that does not count."""
    update()
    calls, start = 0, time.thread_time()
    while (elapsed := time.thread_time() - start) < seconds:
        update()
        calls += 1
    return calls / elapsed


class _Batched:
    """Sampling from replay and updates, as the collector does it."""

    def __init__(self, variant: Variant, agents: int, products: str = "float32") -> None:
        layout, self.batch_size = variant.layout, variant.batch_size
        self.rng, self.generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
        self.sac = StackedSAC(variant.settings(products), layout, agents, self.generator)
        self.replay = Replay(agents, _REPLAY, layout.observation_size, layout.action_size)
        for field in self.replay.fields.values():
            field.uniform_(-1.0, 1.0, generator=self.generator)
        self.replay.added = _REPLAY
        self.shape = (2, agents, variant.batch_size, layout.action_size)

    def sample(self) -> tuple[Any, torch.Tensor]:
        """A batch and the noise of an update."""
        noise = torch.randn(self.shape, generator=self.generator)
        return self.replay.sample(self.batch_size, self.rng), noise

    def update(self) -> None:
        """One update."""
        batch, noise = self.sample()
        self.sac.update(batch, noise[0], noise[1])

    def optimise(self) -> None:
        """Only the optimisers' and the targets' steps."""
        for part in self.sac.parts:
            part.step_actor()
            part.step_critic()
            part.follow()


class _Spaces(gymnasium.Env[Any, Any]):
    """The spaces of Meta-World without the simulator: only updates are timed."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (METAWORLD_LAYOUT.observation_size,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (METAWORLD_LAYOUT.action_size,), np.float32)


def _reference(variant: Variant) -> Callable[[], None]:
    """stable-baselines3's `train`: sampling from its buffer and one update."""
    from stable_baselines3.common.logger import Logger

    training = SACTraining(sac=variant.settings(), replay=_REPLAY, updates_per_step=1.0)
    model = reference_sac(training, _Spaces(), 0, variant.hidden)
    model.set_logger(Logger(None, []))
    buffer, rng = model.replay_buffer, np.random.default_rng(0)
    assert buffer is not None
    for array in (buffer.observations, buffer.next_observations, buffer.actions, buffer.rewards):
        array[:] = rng.uniform(-1.0, 1.0, array.shape)
    buffer.full = True
    return lambda: model.train(1, variant.batch_size)


def _simulator() -> Callable[[], Any]:
    """One environment step."""
    env = MetaWorldEnv("reach")
    env.reset(training_goal(Agent("reach", 0), 0))
    still = np.zeros(METAWORLD_LAYOUT.action_size, dtype=np.float32)
    left = [_EPISODE]

    def step() -> None:
        if not left[0]:
            env.reset(training_goal(Agent("reach", 0), 0))
            left[0] = _EPISODE
        env.step(still)
        left[0] -= 1

    return step


_EPISODE = 400


def _products(variant: Variant, agents: int) -> Callable[[], None]:
    """Only the matrix products of one update, into memory that is there.

    Actor: forward at s and s', backward at s. Both critics: forward at s, at s' (target) and at s with the actor's
    action; backward at s, and for the actor's loss only to the action. The first layer's inputs need no slopes else.
    """
    layout, hidden, batch = variant.layout, variant.hidden, variant.batch_size
    observation, action = layout.observation_size, layout.action_size
    pair, heads = observation + action, 2 * action
    jobs: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def product(times: int, stack: int, rows: int, inner: int, columns: int) -> None:
        shapes = ((rows, inner), (inner, columns), (rows, columns))
        jobs.extend([tuple(torch.randn(stack * agents, *shape) for shape in shapes)] * times)  # type: ignore[list-item]

    for forward, stack, wide, inputs, outputs in ((2, 1, 1, observation, heads), (3, 2, 2, pair, 1)):
        product(forward, 1, wide * hidden, inputs, batch)
        product(forward, stack, hidden, hidden, batch)
        product(forward, stack, outputs, hidden, batch)
        product(1, 1, wide * hidden, batch, inputs)
        product(1, stack, hidden, batch, hidden)
        product(1, stack, outputs, batch, hidden)
    product(1, 1, hidden, hidden, batch)  # slopes of the actor's hidden layers, of the critics' twice, of the action
    product(1, 1, hidden, heads, batch)
    product(2, 2, hidden, hidden, batch)
    product(1, 1, action, 2 * hidden, batch)

    def update() -> None:
        for left, right, result in jobs:
            torch.bmm(left, right, out=result)

    return update
