"""What is trained by gradient steps: the settings that all have, and the stage that trains a network; no torch here."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from hyprepro.component import Betas, Component, setting
from hyprepro.engine.stage import Report, Stage

if TYPE_CHECKING:
    import torch
    from torch import nn

    from hyprepro.engine.training import Job

Schedule = Literal["constant", "cosine", "warm_restarts"]
FIRST_RESTART = 10
"""Length in steps of the first period of "warm_restarts"; each next one is twice as long (Make-An-Agent)."""


class Trained(Component):
    """Base of all components that are trained by gradient steps."""

    steps: int = setting(1000, "number of training steps (batches)", ge=0)
    batch_size: int = setting(64, "samples a step", ge=2)
    learning_rate: float = setting(1e-3, "Adam's step size at the start", gt=0, le=1)
    betas: Betas = setting((0.9, 0.999), "Adam's decay rates of the first and second moment")
    weight_decay: float = setting(0.0, "weight decay", ge=0)
    decoupled_decay: bool = setting(
        True, "decay the weights directly (AdamW) instead of adding it to the gradient (Adam)"
    )
    schedule: Schedule = setting("cosine", "learning rate over time: constant, cosine (to zero) or warm_restarts")
    gradient_clip: float = setting(0.0, "largest norm of a step's gradient; 0 switches clipping off", ge=0)

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """A fused Adam or AdamW over `parameters` with these settings."""
        import torch

        kind = torch.optim.AdamW if self.decoupled_decay else torch.optim.Adam
        return kind(
            list(parameters), lr=self.learning_rate, betas=self.betas, weight_decay=self.weight_decay, fused=True
        )

    def step_size(self, step: int) -> float:
        """Adam's step size at training step `step`."""
        return self.learning_rate * rate(self.schedule, step, self.steps)

    def update(self, optimiser: torch.optim.Optimizer, step: int) -> None:
        """Apply the gradients that have been computed for training step `step`, and clear them."""
        from torch import nn

        for group in optimiser.param_groups:
            group["lr"] = self.step_size(step)
            if self.gradient_clip:
                nn.utils.clip_grad_norm_(group["params"], self.gradient_clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)


def rate(schedule: Schedule, step: int, steps: int) -> float:
    """The learning rate at `step` of `steps` as a share of the first one."""
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * step / max(steps, 1)))
    period = int(math.log2(step / FIRST_RESTART + 1))
    start, length = FIRST_RESTART * (2**period - 1), FIRST_RESTART * 2**period
    return 0.5 * (1 + math.cos(math.pi * (step - start) / length))


M = TypeVar("M", bound="nn.Module")


@dataclass(frozen=True)
class TrainedStage(Stage, Generic[M]):
    """Trains one network by a `Job`, and keeps its weights and its sizes.

    A subclass has a field for everything that the network is trained on, and says by `job` how it is.

    Attributes:
        model: The network's settings: a component with `steps`, `batch_size` and `build(*sizes)`.
        seed: Seed of weights, batches, noise and dropout.
    """

    seconds: ClassVar[tuple[float, float]]
    """What it costs on one slow core: all but the steps, and each sample of a step."""

    model: Any
    seed: int = field(default=0, kw_only=True)

    @property
    def label(self) -> str:
        """What is trained, the class of its settings and the seed."""
        return f"{self.kind} ({type(self.model).__name__}), seed {self.seed}"

    @property
    def cost(self) -> float:
        """By `seconds`."""
        first, each = self.seconds
        samples: int = self.model.batch_size * self.model.steps
        return first + each * samples

    @abstractmethod
    def job(self, inputs: dict[str, Path]) -> Callable[[], Job]:
        """Read what the network is trained on.

        Args:
            inputs: As for `run`.

        Returns:
            What builds the job, with its random weights. It is called under the seed and reads nothing.
        """

    def build(self, shape: Any) -> M:
        """An untrained network with the sizes that its job named."""
        network: M = self.model.build(*shape)
        return network

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Train the network, or go on with it, and write it."""
        from hyprepro.engine import training

        job = training.train(self.job(inputs), self.model.steps, work, report, self.seed)
        training.save(job.kept, job.shape, work)

    def load(self, path: Path) -> M:
        """The trained network, frozen."""
        from hyprepro.engine.training import load

        return load(path, self.build)
