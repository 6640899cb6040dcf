"""A model of the world, learnt from the stored episodes of the training tasks: what the next observation is.

All tasks of a domain share the robot and most of what objects do, so that steps of one teach something about another.
No test task's episodes are read, and no environment is stepped; a prompt of an unseen task is a few steps of its own
that tell whether the model can be trusted there (`WorldModel.tolerance`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import Width, component, setting
from hyprepro.engine.trained import Trained, TrainedStage

if TYPE_CHECKING:
    from hyprepro.domains.base import Data
    from hyprepro.gen_hyprl.world_net import DynamicsEnsemble, DynamicsJob


class Dynamics(Trained):
    """Slot of the model of the world."""

    slot: ClassVar[str] = "dynamics"

    input_noise: float = setting(0.02, "deviation of the noise on standardised inputs in training", ge=0)

    @abstractmethod
    def build(self, inputs: int, outputs: int, places: int) -> DynamicsEnsemble:
        """An untrained model.

        Args:
            inputs: What the next observation depends on (`Scene.input_size`).
            outputs: What of it is new (`Scene.change_size`).
            places: Coordinates of robot and objects (`Scene.places`).
        """


@component
class EnsembleDynamics(Dynamics):
    """Several MLPs that predict the standardised change of an observation, each from samples of its own."""

    members: Width = setting(4, "networks; their disagreement says where the model knows nothing")
    hidden: tuple[Width, ...] = setting((128, 128), "hidden widths", min_length=1)
    steps: int = setting(4000, "training steps", ge=0)
    batch_size: int = setting(256, "steps of episodes a training step and network", ge=2)
    learning_rate: float = setting(1e-3, "Adam's step size", gt=0, le=1)
    weight_decay: float = setting(1e-4, "weight decay", ge=0)

    def build(self, inputs: int, outputs: int, places: int) -> DynamicsEnsemble:
        from hyprepro.gen_hyprl.world_net import DynamicsEnsemble

        return DynamicsEnsemble(self.members, (inputs, *self.hidden, outputs), places)


@dataclass(frozen=True)
class TrainDynamics(TrainedStage["DynamicsEnsemble"]):
    """Trains the model on every step of the training episodes of the training tasks.

    Attributes:
        model: The model and how it is trained.
        data: The episodes, what the training tasks are, and what the numbers of an observation stand for.

    Metrics: `loss` and, on the episodes' every tenth step, which is held out, `validation_error`: the mean squared
    error of standardised changes.
    """

    kind: ClassVar[str] = "dynamics"
    seconds: ClassVar[tuple[float, float]] = (3, 2e-5)

    model: Dynamics
    data: Data

    def job(self, inputs: dict[str, Path]) -> Callable[[], DynamicsJob]:
        """On all steps."""
        from hyprepro.gen_hyprl.world_net import DynamicsJob, steps_of

        return partial(DynamicsJob, self.model, *steps_of(self.data, self.data.domain.scene()))
