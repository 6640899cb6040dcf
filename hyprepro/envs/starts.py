"""The start of an episode, taken once and put back bit for bit: 0.1 ms instead of the 7 to 15 ms of metaworld's reset.

metaworld's reset simulates 250 substeps to move the hand into place, twice. Its outcome depends on the goal alone, so
it is kept: MuJoCo's integration state, the positions in the model that a reset writes, the environment's numbers.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MODEL_FIELDS = ("body_pos", "site_pos")
"""What metaworld's resets write into the model: where fixtures stand and where goals are drawn."""

LARGEST_NUMBER_OF_STARTS = 2_000
"""Starts of one task that are kept; one takes about 10 kB."""

_PLAIN = (np.ndarray, np.generic, bool, int, float, str, tuple, list, dict, type(None))


@dataclass(frozen=True)
class Start:
    """A metaworld environment right after its reset.

    Attributes:
        observation: The first observation `[39]`.
        state: MuJoCo's integration state.
        model: The model's arrays by name.
        attributes: The environment's own attributes that are plain data. Views of the simulator's memory are left out:
            every reset makes the same ones.
    """

    observation: NDArray[np.float64]
    state: NDArray[np.float64]
    model: dict[str, NDArray[np.float64]]
    attributes: dict[str, Any]


def take_start(env: Any, observation: NDArray[np.float64]) -> Start:
    """The start of the metaworld environment `env`, whose reset has just returned `observation`."""
    import mujoco

    kind = mujoco.mjtState.mjSTATE_INTEGRATION
    state = np.empty(mujoco.mj_stateSize(env.model, kind))
    mujoco.mj_getState(env.model, env.data, state, kind)
    attributes = {name: value for name, value in vars(env).items() if isinstance(value, _PLAIN) and not _is_live(value)}
    model = {name: getattr(env.model, name).copy() for name in _MODEL_FIELDS}
    return Start(observation.copy(), state, model, copy.deepcopy(attributes))


def put_start(env: Any, start: Start) -> NDArray[np.float64]:
    """Put `env`, of the same task and reset at least once, at `start`; returns the first observation `[39]`."""
    import mujoco

    kind = mujoco.mjtState.mjSTATE_INTEGRATION
    for name, values in start.model.items():
        getattr(env.model, name)[:] = values
    vars(env).update(copy.deepcopy(start.attributes))
    mujoco.mj_setState(env.model, env.data, start.state, kind)
    mujoco.mj_forward(env.model, env.data)  # positions of bodies and sites, for whoever looks before the first step
    mujoco.mj_setState(env.model, env.data, start.state, kind)  # mj_forward has touched the solver's warm start
    return start.observation.copy()


def _is_live(value: Any) -> bool:
    """Whether an array is a view of the simulator's memory, as door-lock's `obj_init_pos` is: it must stay one."""
    while isinstance(value, np.ndarray) and isinstance(value.base, np.ndarray):
        value = value.base
    return isinstance(value, np.ndarray) and not value.flags.owndata
