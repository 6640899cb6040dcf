"""The fast stepper held against metaworld's own `env.step`: every number of every step, until the first that differs.

    python -m tests.domains.metaworld.agreement                   # all fifty tasks, a million steps (nox -s stepper)
    python -m tests.domains.metaworld.agreement --steps 20000 reach door-open

Each task is checked for itself, with the same episodes every time, so a single one can be repeated. Observation and
success flag are compared at every step, the reward wherever it is asked for (in some episodes always, in some never, in
some now and then), the simulator's state once in a while. Ends with 1 at the first difference and names task, goal,
step and field.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.policies import ENV_POLICY_MAP
from numpy.typing import NDArray

from hyprepro.domains.metaworld.steppers import OwnStepper, Stepper, fast_refusal, make_stepper
from hyprepro.domains.metaworld.tasks import HORIZON, OTHER_TASKS, SEEN_TASKS, UNSEEN_TASKS, Goal
from hyprepro.policies.controllers import PolicyControllers
from hyprepro.stores.policy_store import PolicyStore

STORE = Path(__file__).parents[3] / "stores" / "metaworld.policies.h5"
TASKS = SEEN_TASKS + UNSEEN_TASKS
STEPS = 1_000_000
SHARE_OF_OTHERS = 14
"""A task without stored policies gets one step for so many of a task that has them."""

_OF_DATA = ("qpos", "qvel", "ctrl", "mocap_pos", "mocap_quat", "qacc_warmstart", "xpos", "site_xpos")
_OF_ENVIRONMENT = ("_prev_obs", "_last_stable_obs", "curr_path_length")

Act = Callable[[NDArray[np.float64]], NDArray[Any]]
Make = Callable[[Any, str], Stepper]


class Episode(NamedTuple):
    """One episode of a check.

    Attributes:
        acts: What acts: "stored", "scripted", "noisy" (the scripted expert with noise, in 64 bits) or "random" (beyond
            the limits too).
        goal: Where: a fresh goal, or one frozen as metaworld's goal-observable environments freeze theirs.
        paid: At which steps the reward is asked for.
    """

    acts: str
    goal: Goal
    paid: str


class Difference(AssertionError):
    """The first number that is not metaworld's."""


def fast(env: Any, task: str) -> Stepper:
    """The stepper that is checked.

    Raises:
        Difference: It is refused, so there is nothing to check.
    """
    refusal = fast_refusal(type(env), task)
    if refusal:
        raise Difference(refusal)
    return make_stepper(env, task, "fast")


def plan(kinds: Sequence[str], episodes: int) -> list[Episode]:
    """So many episodes. Kinds, goals and the asking for rewards change at different paces, so all go with all."""
    found = []
    for number in range(episodes):
        turn, kind = divmod(number, len(kinds))
        goal = Goal("paper" if turn % 2 else "fresh", 720 + number)
        found.append(Episode(kinds[kind], goal, ("always", "never", "sometimes")[(number + turn) % 3]))
    return found


def kinds_of(task: str) -> tuple[str, ...]:
    """What acts in a task."""
    return ("stored", "scripted", "noisy", "random") if task in TASKS else ("scripted", "noisy", "random")


@contextmanager
def _without_advice() -> Iterator[None]:
    """Without the scripted experts' warning that their actions will be clipped: that is what is wanted."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Constant")
        yield


@_without_advice()
def compare(task: str, episodes: Sequence[Episode], steps: int = HORIZON, make: Make = fast) -> int:
    """Run episodes by both steppers; returns at how many of the steps the task had succeeded.

    Raises:
        Difference: At the first number that differs.
    """
    own, other = _environment(task), _environment(task)
    metaworlds, checked = OwnStepper(own), make(other, task)
    policies = _stored(task, sum(episode.acts == "stored" for episode in episodes)) if task in TASKS else iter(())
    successes = 0
    for number, episode in enumerate(episodes):
        rng = np.random.default_rng(number)
        act = next(policies) if episode.acts == "stored" else _act(task, episode.acts, rng)
        observation = _reset(own, episode.goal)
        _same(_reset(other, episode.goal), observation, task, episode, 0, "first observation")
        for step in range(1, steps + 1):
            action = act(observation)
            observation, reward, success = metaworlds.step(action)
            if episode.paid == "always" or (episode.paid == "sometimes" and rng.random() < 0.5):
                got, paid, flag = checked.step(action)
                _same(paid, reward, task, episode, step, "reward")
            else:
                got, flag = checked.advance(action)
            _same(got, observation, task, episode, step, "observation")
            _same(flag, success, task, episode, step, "success")
            successes += success
            if step % 25 == 0:
                found, wanted = state(other), state(own)
                for name in wanted:
                    _same(found[name], wanted[name], task, episode, step, name)
    return successes


def state(env: Any) -> dict[str, bytes]:
    """At which point of an episode one of metaworld's environments is."""
    parts = [(env.data, name) for name in _OF_DATA] + [(env, name) for name in _OF_ENVIRONMENT]
    return {name: np.array(getattr(part, name)).tobytes() for part, name in parts}


def _same(got: Any, wanted: Any, task: str, episode: Episode, step: int, field: str) -> None:
    if np.array(got).tobytes() != np.array(wanted).tobytes():
        where = f"{task} {episode.goal.label} ({episode.acts} actions) step {step}"
        raise Difference(f"{where}: {field} is {got!r}, metaworld's {wanted!r}")


def _environment(task: str) -> Any:
    env: Any = ALL_V3_ENVIRONMENTS[f"{task}-v3"]()
    env._partially_observable = False
    env._set_task_called = True
    env.__dict__.pop("sawyer_observation_space", None)  # cached for the hidden goal
    return env


def _reset(env: Any, goal: Goal) -> NDArray[np.float64]:
    env._freeze_rand_vec = False
    if goal.kind == "paper":
        np.random.seed(goal.seed)  # noqa: NPY002 - as metaworld's goal-observable environments draw theirs
        env.seeded_rand_vec = False
        env.reset()
        env._freeze_rand_vec = True
    else:
        env.seeded_rand_vec = True
        env.seed(goal.seed)
    observation: NDArray[np.float64] = env.reset()[0]
    return observation


def _act(task: str, kind: str, rng: np.random.Generator) -> Act:
    if kind == "random":
        return lambda observation: rng.uniform(-1.3, 1.3, 4).astype(np.float32)
    expert: Any = ENV_POLICY_MAP[f"{task}-v3"]()
    if kind == "scripted":
        return lambda observation: np.clip(expert.get_action(observation), -1.0, 1.0).astype(np.float32)
    return lambda observation: np.clip(expert.get_action(observation), -1.0, 1.0) + 0.3 * rng.standard_normal(4)


def _stored(task: str, count: int) -> Iterator[Act]:
    """So many of the bundled policies of a task, spread over all of them."""
    if not count:
        return
    with PolicyStore(STORE) as store:
        rows = np.linspace(0, store.count(task) - 1, count).astype(np.int64)
        controllers = PolicyControllers(store.layout, store.read(task, rows))
    session = controllers.session(1)
    for row in range(count):
        session.assign(0, row)
        yield lambda observation: session.act(observation.astype(np.float32)[None])[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Check tasks one by one; the exit code."""
    parser = argparse.ArgumentParser(prog="agreement", description="The fast stepper against metaworld's env.step.")
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="all if none")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the named tasks together, at least")
    asked = parser.parse_args(arguments)
    names = asked.tasks or [*TASKS, *OTHER_TASKS]
    unknown = [task for task in names if task not in TASKS + OTHER_TASKS]
    if unknown:
        parser.error(f"metaworld has no task {unknown[0]!r}; it has {', '.join(TASKS + OTHER_TASKS)}")
    shares = {task: SHARE_OF_OTHERS if task in TASKS else 1 for task in names}
    unit = asked.steps / sum(shares.values()) / HORIZON
    done, started = 0, time.process_time()
    for task, share in shares.items():
        episodes = plan(kinds_of(task), math.ceil(unit * share))
        try:
            successes = compare(task, episodes)
        except Difference as difference:
            print(f"DIFFERS after {done:,} steps: {difference}")
            return 1
        done += len(episodes) * HORIZON
        print(
            f"{task}: {len(episodes) * HORIZON:,} steps equal, {successes:,} of them with success; {done:,} in all, "
            f"{time.process_time() - started:.0f} s of processor time",
            flush=True,
        )
    print(f"{len(names)} tasks, {done:,} steps: every number is metaworld's.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
