"""One training step of the policy autoencoder, and its validation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor

from hyprepro.losses import eq1_autoencoder
from hyprepro.models.policy_autoencoder import Autoencoder
from hyprepro.policies.layout import PolicyLayout
from hyprepro.policies.stacked import StackedPolicies
from hyprepro.stages.data import held_out_rows
from hyprepro.stages.training import Job, batch_of, device

COMPARED_OBSERVATIONS = 256
"""Observations on which held-out policies and their reconstructions are compared."""


class AutoencoderJob(Job):
    """Eq. 1 on batches of policies.

    Args:
        settings: The autoencoder's settings.
        layout: The policies' layout.
        params: All training policies `[N, P]`.
        observations: Observations in training prompts `[M, obs]`.
        resumes: Whether a checkpoint will fill the weights, so that the closed-form start can be left out.
    """

    def __init__(
        self, settings: Autoencoder, layout: PolicyLayout, params: Tensor, observations: Tensor, resumes: bool = False
    ) -> None:
        self._settings = settings
        self._layout = layout
        self._model = settings.build(layout).to(device())
        rows, held_out = held_out_rows(len(params), settings.validation_share)
        training = params[rows].to(device())
        self._stored_held_out = params[held_out].to(device()) if len(held_out) else training
        if not resumes:
            settings.start(self._model, training, observations.to(device()))
        self._stored_training = training
        spread = torch.linspace(0, len(observations) - 1, min(len(observations), COMPARED_OBSERVATIONS)).round().long()
        self._observations = observations[spread].to(device())
        self._optimiser = settings.optimiser(self._model.parameters())
        self.modules = {"autoencoder": self._model}
        self.optimisers = {"autoencoder": self._optimiser}

    # Aligned at the first use: after a restart the reference comes with the checkpoint.
    @cached_property
    def _training(self) -> Tensor:
        return self._model.space.aligned(self._stored_training)

    @cached_property
    def _held_out(self) -> Tensor:
        return self._model.space.aligned(self._stored_held_out)

    def step(self, step: int) -> Mapping[str, Tensor]:
        """One step of eq. 1, in scaled parameters, with the settings' noise and clamping."""
        settings, model = self._settings, self._model
        rows = batch_of(len(self._training), settings.batch_size).to(self._training.device)
        target = model.space(self._training[rows])
        inputs = target + settings.input_noise * torch.randn_like(target) if settings.input_noise else target
        latents = model.latents_of(inputs)
        if settings.latent_noise:
            latents = latents + settings.latent_noise * torch.randn_like(latents)
        if settings.latent_clamp:
            latents = latents.clamp(-settings.latent_clamp, settings.latent_clamp)
        loss = eq1_autoencoder(model.scaled_from(latents), target, settings.scale)
        loss.backward()  # type: ignore[no-untyped-call]
        settings.update(self._optimiser, step)
        return {"loss": loss.detach()}

    def validate(self) -> dict[str, float]:
        """Errors on held-out policies: of parameters over their variance, in all and by chunk, and of actions."""
        decoded = self._model.decode(self._model.encode(self._held_out))
        difference, deviation = decoded - self._held_out, self._held_out - self._training.mean(0)
        first = self._layout.first_layer_size
        actions, wanted = (
            StackedPolicies(self._layout, params).means(self._observations) for params in (decoded, self._held_out)
        )
        return {
            "validation_error": _share(difference, deviation),
            "validation_action_error": float((actions - wanted).square().mean()),
            "validation_error_first_layer": _share(difference[:, :first], deviation[:, :first]),
            "validation_error_rest": _share(difference[:, first:], deviation[:, first:]),
        }


def _share(error: Tensor, deviation: Tensor) -> float:
    return float(error.square().sum() / deviation.square().sum().clamp_min(1e-30))
