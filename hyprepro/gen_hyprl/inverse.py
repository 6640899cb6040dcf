"""An inverse model of the hand, learnt from the stored episodes of the training tasks: what action leads there.

All tasks share the robot, so that how its hand is moved can be learnt on some and asked on others. Objects are of no
account: the model knows how the hand moves, not what it meets. No test task's episodes are read, no environment is
stepped.
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
    from hyprepro.gen_hyprl.inverse_net import InverseJob, InverseNetwork


class InverseModel(Trained):
    """Slot of the inverse model."""

    slot: ClassVar[str] = "inverse"

    ahead: int = setting(5, "steps within which the hand is to be there", ge=1, le=50)
    turned: bool = setting(True, "turn each training step about the vertical, and mirror it, by chance")

    @abstractmethod
    def build(self, actions: int) -> InverseNetwork:
        """An untrained model of so many numbers of an action."""


@component
class TurnedInverse(InverseModel):
    """An MLP on the hand's last step and its way to go, trained on steps turned about the vertical and mirrored.

    Without the turns it can learn which way each training task goes, and nothing of other ways.
    """

    hidden: tuple[Width, ...] = setting((128, 128), "hidden widths", min_length=1)
    steps: int = setting(3000, "training steps", ge=0)
    batch_size: int = setting(256, "steps of episodes a training step", ge=2)
    learning_rate: float = setting(1e-3, "AdamW's step size", gt=0, le=1)
    weight_decay: float = setting(1e-3, "weight decay", ge=0)

    def build(self, actions: int) -> InverseNetwork:
        from hyprepro.gen_hyprl.inverse_net import InverseNetwork

        return InverseNetwork(self.hidden, actions)


@dataclass(frozen=True)
class TrainInverse(TrainedStage["InverseNetwork"]):
    """Trains the model on every step of the training episodes of the training tasks.

    Attributes:
        model: The model and how it is trained.
        data: The episodes, what the training tasks are, and what the numbers of an observation stand for.

    Metrics: `loss` and, on the episodes' every tenth step, which is held out, `validation_error`: the mean squared
    error of actions.
    """

    kind: ClassVar[str] = "inverse"
    seconds: ClassVar[tuple[float, float]] = (3, 1.5e-5)

    model: InverseModel
    data: Data

    def job(self, inputs: dict[str, Path]) -> Callable[[], InverseJob]:
        """On all steps."""
        from hyprepro.gen_hyprl.inverse_net import InverseJob, moves_of

        return partial(InverseJob, self.model, *moves_of(self.data, self.data.domain.scene(), self.model.ahead))
