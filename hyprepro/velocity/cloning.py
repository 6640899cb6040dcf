"""Velocity-conditioned behaviour cloning: one network for all velocities, told the same number as Gen-HypRL."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from hyprepro.models.optimiser import Trained
from hyprepro.recipe import component, setting
from hyprepro.velocity.base import VelocityMethod
from hyprepro.velocity.cloning_stage import TrainVelocityCloning

if TYPE_CHECKING:
    from hyprepro.velocity.cloning_job import ConditionedPolicy
    from hyprepro.velocity.controllers import VelocityControllers
    from hyprepro.velocity.data import VelocityFiles


@component
class VelocityCloning(VelocityMethod, Trained):
    """An MLP from observation and velocity to the action, cloned on the training velocities' stored episodes.

    As wide as the experts, and deployed as one of them: the velocity's part of the first layer is folded into its bias.
    """

    label: ClassVar[str] = "velocity-cloning"
    seeded: ClassVar[bool] = True
    knows: ClassVar[str] = "the velocity; trained on the training velocities' stored episodes"

    episodes: Literal["expert", "offline", "both"] = setting(
        "both",
        "which stored episodes are cloned: the experts' own (few, without noise), those of the whole training of the "
        "experts (more, with SAC's exploration noise), or both",
    )
    deviation_floor: float = setting(1e-3, "smallest deviation that observations are divided by", gt=0)
    input_noise: float = setting(0.03, "deviation of the noise on standardised observations in training", ge=0)
    steps: int = setting(15_000, "training steps", ge=0)
    batch_size: int = setting(256, "pairs of observation and action a step", ge=2)
    learning_rate: float = setting(1e-3, "Adam's step size", gt=0, le=1)

    @property
    def information(self) -> str:
        """With the episodes that it is trained on."""
        kinds = "expert and offline" if self.episodes == "both" else self.episodes
        return self.knows.replace("stored", f"stored {kinds}")

    def training(self, data: VelocityFiles, velocities: tuple[float, ...], seed: int) -> TrainVelocityCloning:
        """The stage that trains the network."""
        return TrainVelocityCloning(self, data.policies, data.trajectories, seed)

    def deploy(
        self,
        trained: ConditionedPolicy,
        data: VelocityFiles,
        velocities: tuple[float, ...],
        target: float,
        seed: int,
    ) -> VelocityControllers:
        """The network folded at the target velocity: one policy."""
        from hyprepro.velocity.controllers import VelocityPolicies

        return VelocityPolicies(trained.layout, trained.folded(target)[None])
