"""One training step of the regressor, and its validation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from hyprepro.models.regressor import Regressor
from hyprepro.stages.latents import PromptLatents
from hyprepro.stages.training import Job, batch_of, device


class RegressorJob(Job):
    """Mean squared error on batches of prompts.

    Args:
        settings: The regressor's settings.
        prompts: Encoded training prompts.
        held_out: Encoded validation prompts.
    """

    def __init__(self, settings: Regressor, prompts: PromptLatents, held_out: PromptLatents) -> None:
        self._settings = settings
        self._prompts, self._held_out = prompts.to(device()), held_out.to(device())
        self._model = settings.build(*prompts.sizes).to(device())
        self._model.scaling.fit(self._prompts.latents[self._prompts.policy], settings.latent_scaling)
        self._optimiser = settings.optimiser(self._model.parameters())
        self.modules = {"regressor": self._model}
        self.optimisers = {"regressor": self._optimiser}

    def step(self, step: int) -> Mapping[str, Tensor]:
        """One step of the squared error, in scaled latents."""
        rows = batch_of(len(self._prompts), self._settings.batch_size).to(self._prompts.h.device)
        h, v, latents = self._prompts.batch(rows)
        loss = functional.mse_loss(self._model.scaled(h, v), self._model.scaling(latents))
        loss.backward()  # type: ignore[no-untyped-call]
        self._settings.update(self._optimiser, step)
        return {"loss": loss.detach()}

    def validate(self) -> dict[str, float]:
        """Squared error on held-out prompts over the variance of their true latents."""
        prompts, model = self._held_out, self._model
        h, v, latents = prompts.batch(torch.arange(len(prompts), device=prompts.h.device))
        target = model.scaling(latents)
        center = model.scaling(self._prompts.latents[self._prompts.policy].mean(0))
        variance = (target - center).square().mean()
        return {"validation_error": float((model.scaled(h, v) - target).square().mean() / variance)}
