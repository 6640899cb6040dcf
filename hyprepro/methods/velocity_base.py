"""What a row of Table 4 is: anything trained on some velocities that yields controllers for a velocity never seen.

The counterpart of `hyprepro.methods.base.Method`, whose condition is a prompt. Here it is one number, and what else a
method is told at test time (a buffer, an expert's episodes) differs from row to row; `knows` says it to the reader.

Seeds of the draws at deployment.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from hyprepro.domains.cheetah_vel.tasks import velocity_task
from hyprepro.methods.base import TableRow

if TYPE_CHECKING:
    from hyprepro.domains.cheetah_vel.domain import VelocityFiles
    from hyprepro.engine.stage import Stage
    from hyprepro.policies.controllers import VelocityControllers


class VelocityMethod(TableRow):
    """A row of Table 4: how it is trained and how it is deployed.

    Subclasses declare, besides what every row does:
        learns: Whether the row depends on which velocities are trained on; if not it is evaluated once for all numbers
            of training velocities.
    """

    slot: ClassVar[str] = "velocity_method"
    learns: ClassVar[bool] = True

    def training(self, data: VelocityFiles, velocities: tuple[float, ...], seed: int) -> Stage | None:
        """The last training stage (its inputs hang on it), or None when there is nothing to train.

        Args:
            data: The policy and trajectory stores. Training reads the policies of split "train" and the episodes of
                splits "train" and "validation" of the training velocities only; the policy store shows no others.
            velocities: The training velocities, ascending, in m/s; never a test velocity.
            seed: The seed. Methods with `seeded = False` ignore it, so that all seeds share one artefact.
        """
        return None

    def require(self, data: VelocityFiles) -> None:
        """Fail before any work if the stores cannot serve this method (`UserError`)."""

    @abstractmethod
    def deploy(
        self, trained: Any, data: VelocityFiles, velocities: tuple[float, ...], target: float, seed: int
    ) -> VelocityControllers:
        """Controllers for one target velocity.

        Args:
            trained: What the training stage's `load` returned; None when `training` returned None.
            data: The same stores as in training.
            velocities: The same training velocities.
            target: The test velocity, in m/s. Of its data in the stores a method may use what `knows` says, no more.
            seed: The seed; every random draw at deployment derives from it.

        Raises:
            UserError: If the stores lack what the method needs for this velocity.
        """


def derived_seed(seed: int, target: float) -> int:
    """A seed of 32 bits that differs between a method's seeds and between target velocities."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{velocity_task(target)}".encode()).digest()[:4], "big")
