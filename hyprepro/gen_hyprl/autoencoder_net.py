"""The autoencoder's networks, a training step and its validation; choices in `hyprepro.gen_hyprl.autoencoder`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import cast

import torch
from torch import Tensor, nn

from hyprepro.engine.training import Descent, batch_of, device
from hyprepro.gen_hyprl.autoencoder import Autoencoder
from hyprepro.gen_hyprl.blocks import mlp
from hyprepro.gen_hyprl.losses import eq1_autoencoder
from hyprepro.gen_hyprl.parameter_space import ParameterSpace, principal_directions
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import PolicyLayout
from hyprepro.stores.training_data import held_out_rows


class PolicyAutoencoder(nn.Module):
    """A trained or trainable pair (E, D).

    Args:
        layout: The policies' layout. Its two chunks are the first layer and the rest.
        encoders: Two maps from a scaled chunk to `[N, D]`.
        decoders: Two maps back.
        norm: A map of latents `[N, 2, D]` applied after the encoders (LayerNorm or the identity).
        latent_size: D.
        aligns: Whether hidden units are aligned before E.
    """

    def __init__(
        self,
        layout: PolicyLayout,
        encoders: list[nn.Module],
        decoders: list[nn.Module],
        norm: nn.Module,
        latent_size: int,
        aligns: bool = False,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.latent_size = latent_size
        self.space = ParameterSpace(layout, aligns)
        self.encoders = nn.ModuleList(encoders)
        self.decoders = nn.ModuleList(decoders)
        self.norm = norm

    def encode(self, params: Tensor) -> Tensor:
        """Latents Z `[N, 2, D]` of parameters `[N, P]`."""
        return self.latents_of(self.space(self.space.aligned(params)))

    def decode(self, latents: Tensor) -> Tensor:
        """Parameters `[N, P]` of latents `[N, 2, D]`."""
        return self.space.inverse(self.scaled_from(latents))

    def latents_of(self, scaled: Tensor) -> Tensor:
        """Latents `[N, 2, D]` of scaled parameters `[N, P]`."""
        first, rest = self.space.chunks(scaled)
        latents: Tensor = self.norm(torch.stack([self.encoders[0](first), self.encoders[1](rest)], dim=1))
        return latents

    def scaled_from(self, latents: Tensor) -> Tensor:
        """Scaled parameters `[N, P]` of latents `[N, 2, D]`."""
        return torch.cat([decoder(latents[:, i]) for i, decoder in enumerate(self.decoders)], dim=1)


def linear_autoencoder(
    layout: PolicyLayout, latent_size: int, layer_norm: bool, aligns: bool = False
) -> PolicyAutoencoder:
    """Bias-free linear E and D for each chunk, with random weights."""
    sizes = ParameterSpace(layout).sizes
    encoders: list[nn.Module] = [nn.Linear(size, latent_size, bias=False) for size in sizes]
    decoders: list[nn.Module] = [nn.Linear(latent_size, size, bias=False) for size in sizes]
    norm = nn.LayerNorm(latent_size) if layer_norm else nn.Identity()
    return PolicyAutoencoder(layout, encoders, decoders, norm, latent_size, aligns)


def deep_autoencoder(
    layout: PolicyLayout, latent_size: int, hidden: tuple[int, ...], aligns: bool = False
) -> PolicyAutoencoder:
    """An MLP E and D for each chunk through the widths `hidden` and back, and a LayerNorm of the latents."""
    sizes = ParameterSpace(layout).sizes
    encoders: list[nn.Module] = [mlp((size, *hidden, latent_size)) for size in sizes]
    decoders: list[nn.Module] = [mlp((latent_size, *reversed(hidden), size)) for size in sizes]
    return PolicyAutoencoder(layout, encoders, decoders, nn.LayerNorm(latent_size), latent_size, aligns)


@torch.no_grad()
def start_from_principal_directions(model: PolicyAutoencoder, params: Tensor, noise: float) -> None:
    """Set linear encoders and decoders to the minimum of eq. 1 for inputs with noise, in closed form.

    That is projection on the principal directions, each coefficient shrunk by variance / (variance + noise^2):
    directions in which the training policies differ by less than the noise say little about a policy that is not
    among them. Latents get a mean square of one over the training policies. With a LayerNorm in between, the decoders
    are found by ridge regression instead.

    Args:
        model: The autoencoder, its parameter space fitted.
        params: Training policies `[N, P]`.
        noise: Deviation of the input noise, in scaled parameters.
    """
    chunks = model.space.chunks(model.space(model.space.aligned(params)))
    for encoder, decoder, chunk in zip(model.encoders, model.decoders, chunks, strict=True):
        directions = principal_directions(chunk, model.latent_size)
        variance = (chunk @ directions.T).square().mean(0)
        shrunk = directions * (variance / (variance + noise**2).clamp_min(1e-12))[:, None]
        size = (chunk @ shrunk.T).square().mean().sqrt().clamp_min(1e-12)
        cast(nn.Linear, encoder).weight.copy_(shrunk / size)
        cast(nn.Linear, decoder).weight.copy_(directions.T * size)
    if not isinstance(model.norm, nn.Identity):
        latents = model.latents_of(torch.cat(chunks, dim=1))
        for i, (decoder, chunk) in enumerate(zip(model.decoders, chunks, strict=True)):
            z = latents[:, i].double()
            ridge = 1e-6 * z.square().sum() / z.shape[1] * torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
            solution = torch.linalg.solve(z.T @ z + ridge, z.T @ chunk.double())
            cast(nn.Linear, decoder).weight.copy_(solution.T)


COMPARED_OBSERVATIONS = 256
"""Observations on which held-out policies and their reconstructions are compared."""


class AutoencoderJob(Descent[Autoencoder, PolicyAutoencoder]):
    """Eq. 1 on batches of policies.

    Args:
        settings: The autoencoder's settings.
        layout: The policies' layout.
        params: All training policies `[N, P]`.
        observations: Observations in training prompts `[M, obs]`.
    """

    def __init__(self, settings: Autoencoder, layout: PolicyLayout, params: Tensor, observations: Tensor) -> None:
        super().__init__(settings, settings.build(layout), layout.to_json())
        self._layout = layout
        rows, held_out = held_out_rows(len(params), settings.validation_share)
        self._stored_training = params[rows].to(device())
        self._stored_held_out = params[held_out].to(device()) if len(held_out) else self._stored_training
        self._observations = observations.to(device())

    def start(self) -> None:
        """The closed-form start."""
        self.settings.start(self.network, self._stored_training, self._observations)

    # Aligned at the first use: after a restart the reference comes with the checkpoint.
    @cached_property
    def _training(self) -> Tensor:
        return self.network.space.aligned(self._stored_training)

    @cached_property
    def _held_out(self) -> Tensor:
        return self.network.space.aligned(self._stored_held_out)

    def losses(self) -> Mapping[str, Tensor]:
        """Eq. 1, in scaled parameters, with the settings' noise and clamping."""
        settings, model = self.settings, self.network
        rows = batch_of(len(self._training), settings.batch_size).to(self._training.device)
        target = model.space(self._training[rows])
        inputs = target + settings.input_noise * torch.randn_like(target) if settings.input_noise else target
        latents = model.latents_of(inputs)
        if settings.latent_noise:
            latents = latents + settings.latent_noise * torch.randn_like(latents)
        if settings.latent_clamp:
            latents = latents.clamp(-settings.latent_clamp, settings.latent_clamp)
        return {"loss": eq1_autoencoder(model.scaled_from(latents), target, settings.scale)}

    def validate(self) -> dict[str, float]:
        """Errors on held-out policies: of parameters over their variance, in all and by chunk, and of actions."""
        decoded = self.network.decode(self.network.encode(self._held_out))
        difference, deviation = decoded - self._held_out, self._held_out - self._training.mean(0)
        first = self._layout.first_layer_size
        count = len(self._observations)
        spread = torch.linspace(0, count - 1, min(count, COMPARED_OBSERVATIONS)).round().long()
        actions, wanted = (
            StackedPolicies(self._layout, params).means(self._observations[spread])
            for params in (decoded, self._held_out)
        )
        return {
            "validation_error": _share(difference, deviation),
            "validation_action_error": float((actions - wanted).square().mean()),
            "validation_error_first_layer": _share(difference[:, :first], deviation[:, :first]),
            "validation_error_rest": _share(difference[:, first:], deviation[:, first:]),
        }


def _share(error: Tensor, deviation: Tensor) -> float:
    return float(error.square().sum() / deviation.square().sum().clamp_min(1e-30))
