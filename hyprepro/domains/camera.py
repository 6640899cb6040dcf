"""What draws scenes without a screen: MuJoCo on EGL or OSMesa, through gymnasium's offscreen viewer."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hyprepro.errors import UserError, refuse_unknown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hyprepro.domains.rendering import Tape

VARIABLE = "MUJOCO_GL"
"""MuJoCo's own variable that says what draws; read once, when MuJoCo draws for the first time."""

LIBRARIES = {
    "egl": "apt-get install libegl1 libgl1 libgl1-mesa-dri",
    "osmesa": "apt-get install libosmesa6",
    "glfw": "start it where there is a screen",
}
"""What can draw, in the order in which it is tried, and what it takes on Debian. The first two need no GPU."""

_PROBE = (
    "import importlib, mujoco; context = importlib.import_module('mujoco.{0}').GLContext(8, 8); context.make_current();"
    "mujoco.MjrContext(mujoco.MjModel.from_xml_string('<mujoco/>'), 150).free(); context.free()"
)
_DOWN = -0.1  # cameras that look straight down point up nowhere


@cache
def found_renderer() -> str:
    """What draws here; empty where nothing does. Tried in a process of its own, since a failed attempt is final."""
    return next((name for name in _wanted() if _draws(name)), "")


def require_renderer() -> str:
    """The same, chosen for this process; asked before MuJoCo is imported where that can be.

    Raises:
        UserError: Nothing draws.
    """
    name = found_renderer()
    if not name:
        tried = f"{VARIABLE}={os.environ[VARIABLE]}" if os.environ.get(VARIABLE) else f"tried {', '.join(_wanted())}"
        raise UserError(
            "Nothing can draw here: MuJoCo finds no OpenGL library that works without a screen.",
            where=tried,
            fix=f"{LIBRARIES['egl']}, or {LIBRARIES['osmesa']} (neither needs a GPU); see hyprepro doctor",
        )
    os.environ[VARIABLE] = name
    return name


def _wanted() -> Sequence[str]:
    given = os.environ.get(VARIABLE, "").lower().strip()
    if given:
        return [given] if given in LIBRARIES else []
    return list(LIBRARIES) if sys.platform == "linux" else ["glfw"]


def _draws(name: str) -> bool:
    environment = {key: value for key, value in os.environ.items() if key != "PYOPENGL_PLATFORM"}
    command = [sys.executable, "-c", _PROBE.format(name)]
    try:
        done = subprocess.run(
            command, env={**environment, VARIABLE: name}, capture_output=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def check_camera(model: Any, name: str) -> int:
    """The number of a model's camera; without a name the first, or -1, a free one, where there is none.

    Raises:
        UserError: There is no camera of this name.
    """
    names = [model.camera(number).name for number in range(model.ncam)]
    if not name:
        return 0 if names else -1
    fix = "" if names else "name none: this scene is drawn from its middle"
    refuse_unknown(name, names, f"There is no camera named {name!r} in this scene.", f"camera {name}", fix)
    return names.index(name)


class Painter:
    """Draws the episodes of one model.

    Args:
        model: The model; a copy is drawn, so its episodes may go on.
        width: Of a picture, in pixels.
        height: Of a picture, in pixels.
        camera: A camera's name; empty: the first.

    Raises:
        UserError: Nothing draws here, or no such camera.
    """

    def __init__(self, model: Any, width: int, height: int, camera: str = "") -> None:
        require_renderer()
        import mujoco
        from gymnasium.envs.mujoco.mujoco_rendering import OffScreenViewer

        self._camera = check_camera(model, camera)
        self._model = copy.copy(model)
        self._model.vis.global_.offwidth = max(width, self._model.vis.global_.offwidth)
        self._model.vis.global_.offheight = max(height, self._model.vis.global_.offheight)
        self._data = mujoco.MjData(self._model)
        mujoco.mj_forward(self._model, self._data)
        self._viewer: Any = OffScreenViewer(self._model, self._data, width, height)
        self._rolled: bool | None = None

    def picture(self, tape: Tape, step: int) -> NDArray[np.uint8]:
        """What an episode looked like after a step `[height, width, 3]`, upright: some cameras are upside down."""
        import mujoco

        for name, values in tape.looks.items():
            getattr(self._model, name)[:] = values
        mujoco.mj_setState(self._model, self._data, tape.states[step], mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_forward(self._model, self._data)
        self._viewer.make_context_current()
        drawn: NDArray[np.uint8] = self._viewer.render("rgb_array", camera_id=self._camera)
        if self._rolled is None:  # once and for all: a camera that a robot carries may turn over later
            self._rolled = self._camera >= 0 and float(self._data.cam_xmat[self._camera].reshape(3, 3)[2, 1]) < _DOWN
        return drawn[::-1, ::-1] if self._rolled else drawn

    def close(self) -> None:
        """Give up what draws."""
        self._viewer.make_context_current()
        self._viewer.con.free()
        self._viewer.free()
