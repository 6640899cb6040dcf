"""Episodes on tape: the states that a simulator went through, to be drawn afterwards.

Drawing is left until an episode is over, so it can change nothing of it, and a frame of 500 weighs some hundred bytes
until it is drawn. Whatever a domain simulates with MuJoCo can be taped: its simulators say by `physics` what they show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from hyprepro.domains.base import Domain, Simulator, Start, Step
from hyprepro.domains.episodes import Episode, Outcome, run_episodes
from hyprepro.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hyprepro.policies.controllers import Controllers

_PLACES = ("pos", "quat", "size", "rgba", "dir")
_THINGS = ("body", "geom", "site", "cam", "light")


class Physics(NamedTuple):
    """What a slot of a simulator shows.

    Attributes:
        model: MuJoCo's model, which a reset may move things in.
        data: Its state, live.
    """

    model: Any
    data: Any


@runtime_checkable
class Visible(Protocol):
    """A simulator whose episodes can be drawn."""

    def physics(self, slot: int) -> Physics:
        """What a slot shows; the same objects as long as the simulator lives."""


@dataclass
class Tape:
    """One episode, step by step; the first entry is its start.

    Attributes:
        model: The model it was simulated with, which later episodes may change: `looks` says how it was.
        looks: Arrays of the model that say where things stand and how they look.
        states: MuJoCo's integration state, and so the time in seconds first.
        totals: The return so far.
        flags: The success flag, False throughout where the domain has none.
    """

    model: Any
    looks: dict[str, NDArray[Any]]
    states: list[NDArray[np.float64]] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)
    flags: list[bool] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """Steps of the episode."""
        return len(self.states) - 1

    @property
    def seconds(self) -> float:
        """Simulated time of a step."""
        return float(self.states[-1][0] - self.states[0][0]) / max(self.steps, 1)

    def add(self, data: Any, reward: float = 0.0, success: bool = False) -> None:
        """One entry more: the state that the simulator is in, what the step to it earned, its flag."""
        import mujoco

        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        state = np.empty(mujoco.mj_stateSize(self.model, kind))
        mujoco.mj_getState(self.model, data, state, kind)
        self.states.append(state)
        self.totals.append((self.totals[-1] if self.totals else 0.0) + reward)
        self.flags.append(success)


def visible(domain: Domain, task: str) -> tuple[Simulator, Physics]:
    """A simulator of one episode of a task with its rewards, and what it shows.

    Raises:
        UserError: The domain's simulators cannot be drawn.
    """
    import mujoco

    simulator = domain.rewarded(task, 1)
    physics = simulator.physics(0) if isinstance(simulator, Visible) else Physics(None, None)
    if not isinstance(physics.model, mujoco.MjModel):
        raise UserError(
            f"Episodes of {domain.title} cannot be drawn: its simulator shows no scene of MuJoCo's.",
            where=type(simulator).__name__,
            fix="give it a method physics(slot) that returns a Physics: hyprepro/domains/rendering.py",
        )
    return simulator, physics


def taped(
    domain: Domain,
    task: str,
    controllers: Controllers,
    episode: Episode,
    *,
    whole: bool = False,
    horizon: int | None = None,
) -> tuple[Tape, Outcome]:
    """Run one episode as an evaluation does, and tape it.

    Args:
        domain: What the task is of.
        task: The task.
        controllers: What acts.
        episode: Which of them, from which start.
        whole: Go on to the horizon after a success.
        horizon: Steps of an episode; None: the domain's.

    Raises:
        UserError: The domain's simulators cannot be drawn.
    """
    simulator, physics = visible(domain, task)
    recorder = _Recorder(simulator, physics, passes_rewards=not domain.metric.ends_episode)
    (outcome,) = run_episodes(
        domain, task, controllers, [episode], simulator=lambda slots: recorder, whole=whole, horizon=horizon
    )
    return recorder.tape, outcome


class _Recorder:
    """A simulator of one slot that tapes its episode.

    Args:
        simulator: What simulates.
        physics: What it shows.
        passes_rewards: Whether controllers see rewards, as in an evaluation; the tape has them anyway.
    """

    slots = 1

    def __init__(self, simulator: Simulator, physics: Physics, passes_rewards: bool) -> None:
        self._simulator, self._physics, self._passes_rewards = simulator, physics, passes_rewards
        self.tape = Tape(physics.model, {})

    def reset(self, slot: int, start: Start) -> NDArray[np.float64]:
        """Begin the episode and its tape."""
        first = self._simulator.reset(slot, start)
        self.tape = Tape(self._physics.model, _looks(self._physics.model))
        self.tape.add(self._physics.data)
        return first

    def step(self, actions: NDArray[np.float32], active: Sequence[int]) -> Step:
        """One step, taped if the episode goes on."""
        step = self._simulator.step(actions, active)
        if len(active):
            reward = 0.0 if step.rewards is None else float(step.rewards[0])
            self.tape.add(self._physics.data, reward, step.success is not None and bool(step.success[0]))
        return step if self._passes_rewards else step._replace(rewards=None)


def _looks(model: Any) -> dict[str, NDArray[Any]]:
    names = (f"{thing}_{place}" for thing in _THINGS for place in _PLACES)
    return {name: getattr(model, name).copy() for name in names if hasattr(model, name)}
