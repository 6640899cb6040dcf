"""What `stages.decision_transformer` trains."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

from hyprepro.engine.training import Job
from hyprepro.methods.decision_transformer.method import PromptedTransformer
from hyprepro.methods.decision_transformer.network import PromptedNetwork
from hyprepro.methods.decision_transformer.windows import TrajectoryData


class DecisionTransformerJob(Job):
    """The squared error of the action at every step of random windows.

    Args:
        settings: The network and how it is trained.
        data: The episodes.
    """

    def __init__(self, settings: PromptedTransformer, data: TrajectoryData) -> None:
        self._settings = settings
        self._training = data.training
        self._validation = data.validation.tiled_windows(settings.context)
        self._network: PromptedNetwork = settings.build(data.training.longest)
        self._network.fit(data.training.steps.states, settings.smallest_scale, data.wanted)
        self._optimiser = settings.optimiser(self._network.network.parameters())
        self.modules = {"transformer": self._network}
        self.optimisers = {"transformer": self._optimiser}

    def step(self, step: int) -> Mapping[str, Tensor]:
        """One batch."""
        window, targets, prompt = self._training.random_windows(self._settings.batch_size, self._settings.context)
        loss = functional.mse_loss(self._network(window, prompt), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        self._settings.update(self._optimiser, step)
        return {"loss": loss.detach()}

    def validate(self) -> dict[str, float]:
        """Mean squared error over the variance of actions."""
        window, targets, prompt = self._validation
        error = functional.mse_loss(self._network(window, prompt), targets)
        spread = (targets - targets.mean(dim=(0, 1))).square().mean()
        return {"validation_error": float(error / spread)}
