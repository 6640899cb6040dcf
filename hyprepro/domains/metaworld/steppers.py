"""How a Meta-World environment is stepped: fast, or by metaworld's own `env.step`. Both give the same numbers.

The fast one (`metaworld_stepper`) was checked against the code of one metaworld; where that is not the code that is
installed, metaworld's own step is used, and said to be.
"""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hyprepro.domains.metaworld.parts import TASK_PARTS

StepperName = Literal["fast", "metaworld"]


class Stepper(Protocol):
    """Steps one environment."""

    def step(self, action: NDArray[Any]) -> tuple[NDArray[np.float64], float, bool]:
        """One control step; returns observation `[39]`, reward and success flag."""

    def advance(self, action: NDArray[Any]) -> tuple[NDArray[np.float64], bool]:
        """The same without the reward."""


class OwnStepper(Stepper):
    """metaworld's own `env.step`."""

    def __init__(self, env: Any) -> None:
        self._env = env

    def step(self, action: NDArray[Any]) -> tuple[NDArray[np.float64], float, bool]:
        observation, reward, _, _, info = self._env.step(action)
        return observation, float(reward), bool(info["success"])

    def advance(self, action: NDArray[Any]) -> tuple[NDArray[np.float64], bool]:
        observation, _, success = self.step(action)
        return observation, success


def make_stepper(env: Any, task: str, wanted: StepperName) -> Stepper:
    """What steps a metaworld environment of a task; warns where the fast stepper is wanted and refused."""
    refusal = fast_refusal(type(env), task) if wanted == "fast" else ""
    if refusal and multiprocessing.parent_process() is None:  # of evaluations in workers, the result tells
        _warn_once(refusal)
    if wanted == "metaworld" or refusal:
        return OwnStepper(env)
    from hyprepro.domains.metaworld.stepper import MetaWorldStepper

    return MetaWorldStepper(env, task)


def fast_refusal(env_class: type, task: str) -> str:
    """Why the fast stepper does not step a task's environments, in one line; empty where it does."""
    from hyprepro.domains.metaworld.methods import unlike

    names = unlike(env_class, task)
    if not names:
        return ""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return (
        f"{names[0]}{more}: not the code that the fast stepper was checked against; {task} uses metaworld's own step."
    )


def stepper_in_use(wanted: StepperName = "fast", tasks: Sequence[str] = tuple(TASK_PARTS)) -> StepperName:
    """Which stepper the tasks' environments have here if `wanted` is asked for: fast only if all of them have it."""
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    if wanted == "fast" and any(fast_refusal(ALL_V3_ENVIRONMENTS[f"{task}-v3"], task) for task in tasks):
        return "metaworld"
    return wanted


_warned = False


def _warn_once(text: str) -> None:
    """Once a process, however many tasks and environments it has."""
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(text, RuntimeWarning, stacklevel=3)
