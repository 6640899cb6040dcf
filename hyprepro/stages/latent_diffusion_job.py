"""One training step of the latent diffusion, and its validation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from hyprepro.models.make_an_agent import LatentDiffusion
from hyprepro.models.networks.blocks import condition_of
from hyprepro.models.networks.latent_diffusion import LatentDenoiser
from hyprepro.models.networks.scaling import Scaling
from hyprepro.stages.latents import PromptLatents
from hyprepro.stages.training import Job, RunningMean, batch_of, device

VALIDATION_DRAWS = 8
VALIDATION_SEED = 0


class LatentDiffusionJob(Job):
    """The denoiser learns to predict latents from noised ones.

    Args:
        settings: The diffusion's settings.
        prompts: Encoded training prompts.
        held_out: Encoded validation prompts.

    Attributes:
        kept: The denoiser to keep: the trained one, or the running mean of its weights.
    """

    kept: LatentDenoiser

    def __init__(self, settings: LatentDiffusion, prompts: PromptLatents, held_out: PromptLatents) -> None:
        self._settings = settings
        self._prompts, self._held_out = prompts.to(device()), held_out.to(device())
        latents = self._prompts.latents[self._prompts.policy]
        self._model = settings.build(*prompts.sizes).to(device())
        self._model.scaling.fit(latents, settings.latent_scaling)
        condition = condition_of(self._prompts.h, self._prompts.v, settings.condition)
        self._model.condition_scaling.fit(condition, settings.condition_scaling)
        self._common = Scaling(tuple(latents.shape[1:])).to(device())
        self._common.fit(latents, "common")
        self._optimiser = settings.optimiser(self._model.parameters())
        self.modules = {"diffusion": self._model}
        self.optimisers = {"diffusion": self._optimiser}
        self.kept, self._mean = self._model, None
        if settings.evaluated == "ema":
            self.kept = settings.build(*prompts.sizes).to(device())
            self._mean = RunningMean(self._model, self.kept, settings.average_decay)
            self.modules["kept"] = self.kept

    def step(self, step: int) -> Mapping[str, Tensor]:
        """One step of the squared error between latents and predictions from their noised versions."""
        prompts, model = self._prompts, self._model
        rows = batch_of(len(prompts), self._settings.batch_size).to(prompts.h.device)
        h, v, latents = prompts.batch(rows)
        target = model.scaling(latents)
        level = torch.randint(model.ddim.levels, (len(rows),)).to(target.device)
        x = model.ddim.noised(target, torch.randn(target.shape).to(target.device), level)
        loss = functional.mse_loss(model.predicted(x, level, model.condition(h, v)), target)
        loss.backward()  # type: ignore[no-untyped-call]
        self._settings.update(self._optimiser, step)
        if self._mean is not None:
            self._mean.update(step)
        return {"loss": loss.detach()}

    def validate(self) -> dict[str, float]:
        """Errors and diversity of whole draws on held-out prompts."""
        prompts, common = self._held_out, self._common
        noise = torch.Generator().manual_seed(VALIDATION_SEED)
        h, v, latents = prompts.batch(torch.arange(len(prompts), device=prompts.h.device))
        size = (VALIDATION_DRAWS, *latents.shape)
        draws = torch.stack(
            [common(self.kept.generate(h, v, n)) for n in torch.randn(size, generator=noise).to(h.device)]
        )
        target = common(latents)
        variance = target.square().mean()  # common scaling puts the training latents' mean at zero
        return {
            "validation_error": float((draws - target).square().mean() / variance),
            "validation_error_of_mean": float((draws.mean(0) - target).square().mean() / variance),
            "validation_diversity": float((draws - draws.mean(0)).square().mean() / variance),
        }
