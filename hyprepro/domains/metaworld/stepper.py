"""metaworld's `env.step`, bit for bit, at little more than the cost of MuJoCo's own calls.

The same numbers go through the same operations in the same order; only the way to them is shorter: views of the
simulator's arrays are kept instead of looked up by name, a quaternion is computed again only when its matrix changed,
and the success flag and the reward (`metaworld_rewards`) are computed for those who ask.
`tests/domains/metaworld/test_stepper.py` and `nox -s stepper` hold it against metaworld.

What is left out, since nothing can see it: `mj_rnePostConstraint` (its contact forces are read by no observation,
reward or sensor of these models), and moving the target's site between `mj_step` and `mj_forward`, which puts every
site where the model has it. All that is rare is metaworld's own step: the error after the horizon or without a task,
an unstable simulation, actions of another type.

The quaternion of a rotation matrix, bit for bit as scipy computes it, without the cost of its generality.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from hyprepro.domains.metaworld.parts import TASK_PARTS, Place, Success, TaskParts, Turn
from hyprepro.domains.metaworld.rewards import evaluation

Array = NDArray[np.float64]

_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
_THREE_FLOATS = struct.Struct("3f")
_FIRST, _SECOND = slice(4, 11), slice(11, 18)  # the frame's two objects: position, quaternion


class MetaWorldStepper:
    """Steps a metaworld environment as its own `step` would, and leaves it in the same state.

    Args:
        env: A `SawyerXYZEnv` whose task is set and whose observability is settled. Stepping it with its own methods
            in between, resetting it and writing its state from outside are all allowed.
        task: Name of its task, without the version.
    """

    def __init__(self, env: Any, task: str) -> None:
        model, data = env.model, env.data
        if model.nmocap != 1 or model.nu != 2:
            raise ValueError(f"{task} is not moved by one mocap body and two fingers")
        self._env, self._model, self._data = env, model, data
        self._mocap, self._mocap_quat, self._control = data.mocap_pos[0], data.mocap_quat[0], data.ctrl
        self._low, self._high = env.mocap_low.tolist(), env.mocap_high.tolist()
        self._scale = float(env.action_scale)
        self._scale32 = float(np.float32(env.action_scale))
        self._hand, self._right_claw, self._left_claw = (
            data.xpos[model.body(name).id] for name in ("hand", "rightclaw", "leftclaw")
        )
        self._space = env.sawyer_observation_space
        self._shown = np.zeros(39)
        self._frame, self._before, self._goal = self._shown[:18], self._shown[18:36], self._shown[36:]
        self._seen_hand = self._shown[:3]
        self._raised = np.zeros(39)
        parts = TASK_PARTS.get(task)
        self._observe = self._see_anything if parts is None else _observer(env, parts, self._frame)
        self._evaluate = evaluation(env, None if parts is None else self._frame[4:7])
        known = parts is not None and env.reward_function_version == "v2"
        self._succeeds = _judge(env, parts.success, self._frame[4:7]) if parts is not None and known else None

    def step(self, action: NDArray[Any]) -> tuple[Array, float, bool]:
        """One control step: observation `[39]`, reward and success flag, all metaworld's."""
        if not self._moves(action):
            return _by_metaworld(self._env, action)
        observation = self._observation()
        reward, info = self._evaluate(observation, action)
        return observation, float(reward), bool(info["success"])

    def advance(self, action: NDArray[Any]) -> tuple[Array, bool]:
        """The same step without its reward."""
        if self._succeeds is None or not self._moves(action):
            observation, _, success = self.step(action)
            return observation, success
        return self._observation(), self._succeeds()

    def _moves(self, action: NDArray[Any]) -> bool:
        """Simulate the action, unless it or the environment is in a state that only metaworld's own step handles."""
        env = self._env
        if (
            type(action) is not np.ndarray
            or action.shape != (4,)
            or env._did_see_sim_exception
            or env.curr_path_length >= env.max_path_length
            or not env._set_task_called
        ):
            return False
        dx, dy, dz, grip = action.tolist()
        dx, dy, dz = _within(dx, -1.0, 1.0), _within(dy, -1.0, 1.0), _within(dz, -1.0, 1.0)
        if action.dtype == _FLOAT32:  # products of two are exact in 64 bits, so rounding them is numpy's product
            scale = self._scale32
            dx, dy, dz = _THREE_FLOATS.unpack(_THREE_FLOATS.pack(dx * scale, dy * scale, dz * scale))
        elif action.dtype == _FLOAT64:
            scale = self._scale
            dx, dy, dz = dx * scale, dy * scale, dz * scale
        else:
            return False
        mocap, low, high = self._mocap, self._low, self._high
        x, y, z = mocap.tolist()
        mocap[0] = _within(x + dx, low[0], high[0])
        mocap[1] = _within(y + dy, low[1], high[1])
        mocap[2] = _within(z + dz, low[2], high[2])
        self._mocap_quat[...] = _UPRIGHT
        control = self._control
        control[0], control[1] = grip, -grip
        mujoco.mj_step(self._model, self._data, env.frame_skip)
        env.curr_path_length += 1
        mujoco.mj_forward(self._model, self._data)
        return True

    def _observation(self) -> Array:
        """The observation, the caller's own. What it says of the object is not clipped, so the frame holds it too."""
        env, frame, raised, space = self._env, self._frame, self._raised, self._space
        self._seen_hand[...] = self._hand  # written whole: a slice would be an array of its own first
        apart = self._right_claw - self._left_claw
        frame[3] = _within(math.sqrt(apart.dot(apart)) / 0.1, 0.0, 1.0)
        self._observe()
        self._before[...] = env._prev_obs
        self._goal[...] = 0.0 if env._partially_observable else env._target_pos
        env._prev_obs = frame.copy()
        np.maximum(self._shown, space.low, out=raised)
        env._last_stable_obs = stable = np.minimum(raised, space.high)
        observation: Array = stable.copy()
        return observation

    def _see_anything(self) -> None:
        """Positions and quaternions of one object or two, by metaworld's own methods."""
        places, turns = self._env._get_pos_objects().reshape(-1, 3), self._env._get_quat_objects().reshape(-1, 4)
        for of_object, place, turn in zip((_FIRST, _SECOND), places, turns, strict=False):
            self._frame[of_object] = (*place, *turn)


_UPRIGHT = np.array([1.0, 0.0, 1.0, 0.0])  # how metaworld holds the hand; MuJoCo normalises it


def _within(value: float, low: float, high: float) -> float:
    """One number clipped as numpy does: what is not a number stays so."""
    return low if value < low else high if value > high else value


def _by_metaworld(env: Any, action: NDArray[Any]) -> tuple[Array, float, bool]:
    observation, reward, _, _, info = env.step(action)
    return observation, float(reward), bool(info["success"])


def _observer(env: Any, parts: TaskParts, frame: Array) -> Callable[[], None]:
    """What writes a task's object into the frame `[18]`."""
    placed, turned = _placer(env, parts.place, frame[4:7]), _turner(env, parts.turn, frame[7:11])
    if turned is None:
        return placed

    def observe() -> None:
        placed()
        turned()

    return observe


def _placer(env: Any, place: Place, out: Array) -> Callable[[], None]:
    model, data = env.model, env.data
    index = getattr(model, place.part)(place.name).id
    view = {"body": data.xpos, "geom": data.geom_xpos, "site": data.site_xpos}[place.part][index]
    if place.knob:
        angle = data.joint(place.knob).qpos
        radius, offset = math.hypot(*place.offset or ()), np.zeros(3)

        def at_the_tip() -> None:
            offset[0], offset[1] = np.sin(angle).item() * radius, -np.cos(angle).item() * radius
            np.add(view, offset, out=out)

        return at_the_tip
    if place.offset is None:

        def at() -> None:
            out[...] = view

        return at
    shift = np.array(place.offset)

    def beside() -> None:
        np.add(view, shift, out=out)

    return beside


def _turner(env: Any, turn: Turn, out: Array) -> Callable[[], None] | None:
    """What writes the orientation; None where it stands there for good."""
    if turn.part == "geom":
        matrix = env.data.geom_xmat[env.model.geom(turn.name).id]
        known = b""

        def of_matrix() -> None:
            nonlocal known
            now = matrix.tobytes()
            if now != known:
                out[:] = quaternion(matrix)
                known = now

        return of_matrix
    if turn.part == "body":
        view = env.data.xquat[env.model.body(turn.name).id]

        def of_body() -> None:
            out[...] = view

        return of_body
    out[:] = turn.constant
    return None


def _judge(env: Any, success: Success, place: Array) -> Callable[[], bool]:
    """What tells success, given a view of the object's position."""
    limit = (env.TARGET_RADIUS if success.limit is None else success.limit) + success.more
    if success.of in ("x", "y", "z"):
        axis = "xyz".index(success.of)
        return lambda: bool(abs(env._target_pos[axis] - place[axis]) <= limit)
    near, far = limit * limit * (1.0 - _DOUBT), limit * limit * (1.0 + _DOUBT)
    if success.of == "fingers":
        right, left = (env.data.site_xpos[env.model.site(f"{side}EndEffector").id] for side in ("right", "left"))

        def fingers_there() -> bool:
            (a, b, c), (d, e, f), (x, y, z) = right.tolist(), left.tolist(), env._target_pos.tolist()
            x, y, z = (a + d) / 2.0 - x, (b + e) / 2.0 - y, (c + f) / 2.0 - z
            square = x * x + y * y + z * z
            return square <= near or (not square > far and _length((right + left) / 2.0 - env._target_pos) <= limit)

        return fingers_there
    shift = np.array(success.offset or (0.0, 0.0, 0.0))
    dx, dy, dz = shift.tolist()

    def object_there() -> bool:
        (a, b, c), (x, y, z) = place.tolist(), env._target_pos.tolist()
        x, y, z = a + dx - x, b + dy - y, c + dz - z
        square = x * x + y * y + z * z
        return square <= near or (not square > far and _length(place + shift - env._target_pos) <= limit)

    return object_there


_DOUBT = 1e-9
"""So close to a limit, relatively, that the order of a squared distance's sums decides: there they are numpy's."""


def _length(vector: Array) -> float:
    return math.sqrt(vector.dot(vector))


_SKEW = 5e-13
"""Products of different rows above which scipy might make the matrix orthogonal first (it does above 1e-12)."""

_LENGTH = 5e-6
"""The same for how far a row's squared length is from 1 (scipy: 1e-5)."""


def quaternion(matrix: NDArray[np.float64]) -> Sequence[float]:
    """`Rotation.from_matrix(matrix).as_quat()`: x, y, z, w.

    Args:
        matrix: Nine numbers, row by row, of a rotation (not a reflection), as MuJoCo makes them of unit quaternions.

    Raises:
        ValueError: Not a rotation.
    """
    if not _same_as_scipy():
        return _scipy(matrix)
    a, b, c, d, e, f, g, h, i = matrix.tolist()
    if not (
        abs(a * d + b * e + c * f) < _SKEW
        and abs(a * g + b * h + c * i) < _SKEW
        and abs(d * g + e * h + f * i) < _SKEW
        and abs(a * a + b * b + c * c - 1.0) < _LENGTH
        and abs(d * d + e * e + f * f - 1.0) < _LENGTH
        and abs(g * g + h * h + i * i - 1.0) < _LENGTH
    ):
        return _scipy(matrix)
    return _direct(a, b, c, d, e, f, g, h, i)


def _direct(
    a: float, b: float, c: float, d: float, e: float, f: float, g: float, h: float, i: float
) -> tuple[float, float, float, float]:
    """Of an orthogonal matrix, in scipy's order of operations: the largest of four numbers decides which formula."""
    trace = a + e + i
    if trace > a and trace > e and trace > i:
        x, y, z, w = h - f, c - g, d - b, 1 + trace
    elif a >= e and a >= i:
        x, y, z, w = 1 - trace + 2 * a, d + b, g + c, h - f
    elif e >= i:
        x, y, z, w = d + b, 1 - trace + 2 * e, h + f, c - g
    else:
        x, y, z, w = g + c, h + f, 1 - trace + 2 * i, d - b
    length = math.sqrt(x * x + y * y + z * z + w * w)
    return x / length, y / length, z / length, w / length


def _scipy(matrix: NDArray[np.float64]) -> list[float]:
    from scipy.spatial.transform import Rotation

    found: list[float] = Rotation.from_matrix(matrix.reshape(3, 3)).as_quat().tolist()
    return found


@cache
def _same_as_scipy() -> bool:
    """Whether the installed scipy, whose code is compiled, rounds as `_direct` does: tried on 400 rotations."""
    from scipy.spatial.transform import Rotation

    turns = np.random.default_rng(0).normal(size=(400, 4))
    turns[::4] *= 10.0 ** -np.arange(4)  # and some that turn about an axis
    matrices = Rotation.from_quat(turns).as_matrix()
    wanted = Rotation.from_matrix(matrices).as_quat().tolist()
    return bool([list(_direct(*matrix.ravel().tolist())) for matrix in matrices] == wanted)
