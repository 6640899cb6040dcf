"""One training step of the policy autoencoder, and its validation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hyprepro.losses import eq1_autoencoder
from hyprepro.models.policy_autoencoder import Autoencoder
from hyprepro.stages.data import held_out_rows
from hyprepro.stages.training import Job, batch_of, device


class AutoencoderJob(Job):
    """Eq. 1 on batches of policies.

    Args:
        settings: The autoencoder's settings.
        sizes: Lengths of the two chunks.
        params: All training policies `[N, P]`.
        resumes: Whether a checkpoint will fill the weights, so that the closed-form start can be left out.
    """

    def __init__(self, settings: Autoencoder, sizes: tuple[int, int], params: Tensor, resumes: bool = False) -> None:
        self._settings = settings
        self._model = settings.build(sizes).to(device())
        rows, held_out = held_out_rows(len(params), settings.validation_share)
        training = params[rows].to(device())
        self._held_out = params[held_out].to(device()) if len(held_out) else training
        self._mean = training.mean(0)
        if not resumes:
            settings.start(self._model, training)
        self._training = training
        self._optimiser = settings.optimiser(self._model.parameters())
        self.modules = {"autoencoder": self._model}
        self.optimisers = {"autoencoder": self._optimiser}

    def step(self, step: int) -> Mapping[str, Tensor]:
        """One step of eq. 1, in scaled parameters, with the settings' noise and clamping."""
        settings, model = self._settings, self._model
        rows = batch_of(len(self._training), settings.batch_size).to(self._training.device)
        target = model.scaling(self._training[rows])
        inputs = target + settings.input_noise * torch.randn_like(target) if settings.input_noise else target
        first, rest = inputs.split(model.sizes, dim=1)
        latents = model.latents_of(first, rest)
        if settings.latent_noise:
            latents = latents + settings.latent_noise * torch.randn_like(latents)
        if settings.latent_clamp:
            latents = latents.clamp(-settings.latent_clamp, settings.latent_clamp)
        loss = eq1_autoencoder(model.scaled_from(latents), target, settings.scale)
        loss.backward()  # type: ignore[no-untyped-call]
        settings.update(self._optimiser, step)
        return {"loss": loss.detach()}

    def validate(self) -> dict[str, float]:
        """Squared error on held-out policies over their variance, for all parameters and for each chunk."""
        difference = self._model.decode(self._model.encode(self._held_out)) - self._held_out
        deviation = self._held_out - self._mean
        first = self._model.sizes[0]
        return {
            "validation_error": _share(difference, deviation),
            "validation_error_first_layer": _share(difference[:, :first], deviation[:, :first]),
            "validation_error_rest": _share(difference[:, first:], deviation[:, first:]),
        }


def _share(error: Tensor, deviation: Tensor) -> float:
    return float(error.square().sum() / deviation.square().sum().clamp_min(1e-30))
