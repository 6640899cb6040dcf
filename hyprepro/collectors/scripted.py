"""The experts that are cloned: metaworld's scripted policies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyprepro.domains.metaworld.env import scripted_action


def expert_action(task: str, observation: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """The expert's action `[4]` in [-1, 1] for an observation `[39]` of a task."""
    return scripted_action(task, observation)
