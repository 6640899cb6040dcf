"""The suite's cheetah with a torso of any length, through dm_control, which is an extra."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from hyprepro.domains.base import Start, Step
from hyprepro.domains.dm_control.tasks import run_reward
from hyprepro.domains.rendering import Physics
from hyprepro.errors import UserError

try:
    from dm_control.rl import control
    from dm_control.suite import cheetah, common
except ImportError:
    raise UserError(
        "dm_control is not installed.",
        fix="pip install 'hyprepro[control]' -c constraints.txt, with Python 3.11 or 3.12",
    ) from None

if TYPE_CHECKING:
    from numpy.typing import NDArray

OBSERVED = ("position", "velocity")
"""Parts of an observation in dm_control's own order: joints without the way forward (8), velocities (9)."""

_HEAD = 0.1  # m, from the torso's end forwards and upwards


def cheetah_model(length: float) -> str:
    """The suite's model with a torso that reaches so far to both sides, in m; its total mass stays 14 kg.

    The head and both thighs move with the torso's ends, as in contextual-control-suite.
    """
    model = ElementTree.fromstring(common.read_model("cheetah.xml"))
    torso = next(body for body in model.iter("body") if body.get("name") == "torso")
    parts = {part.get("name"): part for part in torso}  # joints have other names than bodies and geoms
    parts["torso"].set("fromto", f"{-length} 0 0 {length} 0 0")
    parts["head"].set("pos", f"{length + _HEAD} 0 {_HEAD}")
    for name, side in (("bthigh", -length), ("fthigh", length)):
        parts[name].set("pos", f"{side} 0 0")
    return ElementTree.tostring(model, encoding="unicode")


class ControlCheetahs:
    """Cheetahs of the suite, one a slot. An action counts within [-1, 1]; nothing ends an episode.

    Args:
        speeds: The target of each, m/s `[slots]`.
        lengths: The half length of each torso, m `[slots]`.
    """

    def __init__(self, speeds: Sequence[float], lengths: Sequence[float]) -> None:
        self._speeds = np.array(speeds)
        models = {length: cheetah.Physics.from_xml_string(cheetah_model(length), common.ASSETS) for length in lengths}
        self._environments = [
            control.Environment(models[length].copy(share_model=True), cheetah.Cheetah(random=0)) for length in lengths
        ]

    @property
    def slots(self) -> int:
        """Number of cheetahs."""
        return len(self._environments)

    def reset(self, slot: int, start: Start) -> NDArray[np.float64]:
        """Begin an episode: joints drawn within their limits by the start's seed, then two seconds to fall."""
        environment = self._environments[slot]
        environment.task.random.seed(start.seed)
        return _flat(environment.reset())

    def step(self, actions: NDArray[np.float32], active: Sequence[int]) -> Step:
        """One step of 0.01 s of the active slots."""
        observations, speeds = np.zeros((self.slots, 17)), np.zeros(self.slots)
        for slot in active:
            environment = self._environments[slot]
            observations[slot] = _flat(environment.step(np.clip(actions[slot], -1.0, 1.0)))
            speeds[slot] = environment.physics.speed()
        return Step(observations, run_reward(speeds, self._speeds), None, None, speeds)

    def physics(self, slot: int) -> Physics:
        """The cheetah's."""
        physics = self._environments[slot].physics
        return Physics(physics.model.ptr, physics.data.ptr)


def _flat(time_step: Any) -> NDArray[np.float64]:
    return np.concatenate([time_step.observation[name] for name in OBSERVED])
