"""What a step of each task needs besides the simulator: where its object is, and when it has succeeded.

One row a task, each the plainest form of metaworld's own code: `_get_pos_objects`, `_get_quat_objects`, and the success
that its `evaluate_state` finds on the way to the reward. `metaworld_methods` holds the code that they were taken from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Place:
    """The position of a part of the scene, plus an offset in metres.

    Attributes:
        part: Kind of the part.
        name: Its name in the model.
        offset: Added to its position; None adds nothing.
        knob: A joint of the model by whose angle the offset turns about the vertical, as the tip of a dial's hand does.
    """

    part: Literal["body", "geom", "site"]
    name: str
    offset: tuple[float, float, float] | None = None
    knob: str = ""


@dataclass(frozen=True)
class Turn:
    """The orientation of a part of the scene, or a constant.

    Attributes:
        part: Kind of the part: a body has a quaternion (w first), a geom a matrix (its quaternion: w last).
        name: Its name in the model.
        constant: What stands there if `part` is "nothing".
    """

    part: Literal["body", "geom", "nothing"]
    name: str = ""
    constant: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Success:
    """When a distance to the target is at most `limit` (m).

    Attributes:
        of: What is measured: the object (all three axes, or one of them) or the middle of the fingers.
        limit: The distance; None is the class's `TARGET_RADIUS`.
        more: Added to the limit.
        offset: Added to the object's position.
    """

    of: Literal["object", "x", "y", "z", "fingers"]
    limit: float | None = None
    more: float = 0.0
    offset: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class TaskParts:
    """One task."""

    place: Place
    turn: Turn
    success: Success


_BUTTON = Place("body", "button", (0.0, -0.193, 0.0))
_PUCK = TaskParts(Place("body", "obj"), Turn("geom", "objGeom"), Success("fingers", 0.05))
_NO_TURN = Turn("nothing")

TASK_PARTS = {
    "button-press": TaskParts(_BUTTON, Turn("body", "button"), Success("y", 0.02)),
    "button-press-wall": TaskParts(_BUTTON, Turn("body", "button"), Success("y", 0.03)),
    "coffee-button": TaskParts(
        Place("site", "buttonStart"), Turn("nothing", constant=(1.0, 0.0, 0.0, 0.0)), Success("y", 0.02)
    ),
    "dial-turn": TaskParts(
        Place("body", "dial", (0.0, 0.05, 0.0), knob="knob_Joint_1"), Turn("body", "dial"), Success("object")
    ),
    "door-lock": TaskParts(Place("site", "lockStartLock"), Turn("body", "door_link"), Success("z", 0.02)),
    "door-open": TaskParts(Place("geom", "handle"), Turn("geom", "handle"), Success("x", 0.08)),
    "door-unlock": TaskParts(Place("site", "lockStartUnlock"), Turn("body", "door_link"), Success("x", 0.02)),
    "drawer-close": TaskParts(
        Place("body", "drawer_link", (0.0, -0.16, 0.05)), _NO_TURN, Success("object", more=0.015)
    ),
    "drawer-open": TaskParts(
        Place("body", "drawer_link", (0.0, -0.16, 0.0)), Turn("body", "drawer_link"), Success("object", 0.03)
    ),
    "faucet-close": TaskParts(
        Place("site", "handleStartClose", (0.0, 0.0, -0.01)), Turn("body", "faucetBase"), Success("object", 0.07)
    ),
    "faucet-open": TaskParts(
        Place("site", "handleStartOpen", (0.0, 0.0, -0.01)),
        Turn("body", "faucetBase"),
        Success("object", 0.07, offset=(-0.04, 0.0, 0.03)),
    ),
    "handle-press": TaskParts(Place("site", "handleStart"), _NO_TURN, Success("z")),
    "handle-press-side": TaskParts(Place("site", "handleStart"), _NO_TURN, Success("z")),
    "plate-slide": TaskParts(Place("geom", "puck"), Turn("geom", "puck"), Success("object", 0.07)),
    "reach": _PUCK,
    "reach-wall": _PUCK,
    "window-close": TaskParts(Place("site", "handleCloseStart"), _NO_TURN, Success("x")),
    "window-open": TaskParts(Place("site", "handleOpenStart"), _NO_TURN, Success("x")),
}
"""The tasks of Make-An-Agent's split. Of any other, these three parts are left to metaworld's own methods."""
