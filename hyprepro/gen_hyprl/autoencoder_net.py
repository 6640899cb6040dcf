"""The autoencoder's networks, a training step and its validation; choices in `hyprepro.gen_hyprl.autoencoder`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from hyprepro.engine.training import Descent, batch_of, device
from hyprepro.gen_hyprl.alignment import Runs
from hyprepro.gen_hyprl.autoencoder import Autoencoder
from hyprepro.gen_hyprl.blocks import mlp
from hyprepro.gen_hyprl.choices import Alignment
from hyprepro.gen_hyprl.losses import eq1_autoencoder
from hyprepro.gen_hyprl.parameter_space import ParameterSpace, principal_directions
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import PolicyLayout
from hyprepro.stores.training_data import TaskStates, held_out_rows, run_ends

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hyprepro.stores.policy_store import PolicyStore


class PolicyAutoencoder(nn.Module):
    """A trained or trainable pair (E, D).

    Args:
        layout: The policies' layout. Its two chunks are the first layer and the rest.
        encoders: Two maps from a scaled chunk to `[N, D]`.
        decoders: Two maps back.
        norm: A map of latents `[N, 2, D]` applied after the encoders (LayerNorm or the identity).
        latent_size: D.
        alignment: How hidden units are aligned before E; None: not at all.
    """

    def __init__(
        self,
        layout: PolicyLayout,
        encoders: list[nn.Module],
        decoders: list[nn.Module],
        norm: nn.Module,
        latent_size: int,
        alignment: Alignment | None = None,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.latent_size = latent_size
        self.space = ParameterSpace(layout, alignment)
        self.encoders = nn.ModuleList(encoders)
        self.decoders = nn.ModuleList(decoders)
        self.norm = norm

    def encode(self, params: Tensor, runs: Runs | None = None) -> Tensor:
        """Latents Z `[N, 2, D]` of parameters `[N, P]`; `runs` as for `ParameterSpace.aligned`."""
        return self.latents_of(self.space(self.space.aligned(params, runs)))

    def encode_stored(self, store: PolicyStore, task: str, rows: NDArray[np.int64]) -> Tensor:
        """Latents `[k, 2, D]` of stored policies, their hidden units in their runs' orders if that is asked for."""
        alignment = self.space.alignment
        params = torch.from_numpy(store.read(task, rows))
        if alignment is None or alignment.of == "policy":
            return self.encode(params)
        standing, of = np.unique(run_ends(store, task, rows), return_inverse=True)
        return self.encode(params, Runs(torch.from_numpy(store.read(task, standing)), torch.from_numpy(of)))

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
    layout: PolicyLayout, latent_size: int, layer_norm: bool, alignment: Alignment | None = None
) -> PolicyAutoencoder:
    """Bias-free linear E and D for each chunk, with random weights."""
    sizes = ParameterSpace(layout).sizes
    encoders: list[nn.Module] = [nn.Linear(size, latent_size, bias=False) for size in sizes]
    decoders: list[nn.Module] = [nn.Linear(latent_size, size, bias=False) for size in sizes]
    norm = nn.LayerNorm(latent_size) if layer_norm else nn.Identity()
    return PolicyAutoencoder(layout, encoders, decoders, norm, latent_size, alignment)


def deep_autoencoder(
    layout: PolicyLayout, latent_size: int, hidden: tuple[int, ...], alignment: Alignment | None = None
) -> PolicyAutoencoder:
    """An MLP E and D for each chunk through the widths `hidden` and back, and a LayerNorm of the latents."""
    sizes = ParameterSpace(layout).sizes
    encoders: list[nn.Module] = [mlp((size, *hidden, latent_size)) for size in sizes]
    decoders: list[nn.Module] = [mlp((latent_size, *reversed(hidden), size)) for size in sizes]
    return PolicyAutoencoder(layout, encoders, decoders, nn.LayerNorm(latent_size), latent_size, alignment)


@torch.no_grad()
def start_from_principal_directions(
    model: PolicyAutoencoder, params: Tensor, noise: float, runs: Runs | None = None
) -> None:
    """Set linear encoders and decoders to the minimum of eq. 1 for inputs with noise, in closed form.

    That is projection on the principal directions, each coefficient shrunk by variance / (variance + noise^2):
    directions in which the training policies differ by less than the noise say little about a policy that is not
    among them. Latents get a mean square of one over the training policies. With a LayerNorm in between, the decoders
    are found by ridge regression instead.

    Args:
        model: The autoencoder, its parameter space fitted.
        params: Training policies `[N, P]`.
        noise: Deviation of the input noise, in scaled parameters.
        runs: As for `ParameterSpace.aligned`.
    """
    chunks = model.space.chunks(model.space(model.space.aligned(params, runs)))
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
        runs: As for `ParameterSpace.aligned`.
        states: What the policies' own tasks look like; asked for where actions count.
    """

    def __init__(
        self,
        settings: Autoencoder,
        layout: PolicyLayout,
        params: Tensor,
        observations: Tensor,
        runs: Runs | None = None,
        states: TaskStates | None = None,
    ) -> None:
        super().__init__(settings, settings.build(layout), layout.to_json())
        self._layout = layout
        rows, held_out = held_out_rows(len(params), settings.validation_share)
        kept = held_out if len(held_out) else rows
        self._stored_training = params[rows].to(device())
        self._stored_held_out = params[kept].to(device())
        self._states = None if states is None else states.some(rows)
        self._held_out_states = None if states is None else states.some(kept)
        self._runs = None if runs is None else runs.some(rows).to(device())
        self._held_out_runs = None if runs is None else runs.some(kept).to(device())
        self._observations = observations.to(device())

    def start(self) -> None:
        """The closed-form start."""
        self.settings.start(self.network, self._stored_training, self._observations, self._runs)

    # Aligned at the first use: after a restart the reference comes with the checkpoint.
    @cached_property
    def _training(self) -> Tensor:
        return self.network.space.aligned(self._stored_training, self._runs)

    @cached_property
    def _held_out(self) -> Tensor:
        return self.network.space.aligned(self._stored_held_out, self._held_out_runs)

    def losses(self) -> Mapping[str, Tensor]:
        """Eq. 1, in scaled parameters, with the settings' noise and clamping, and the error of actions."""
        settings, model = self.settings, self.network
        rows = batch_of(len(self._training), settings.batch_size).to(self._training.device)
        target = model.space(self._training[rows])
        inputs = target + settings.input_noise * torch.randn_like(target) if settings.input_noise else target
        decoded = model.scaled_from(self.disturbed(model.latents_of(inputs)))
        loss = eq1_autoencoder(decoded, target, settings.scale)
        if not settings.behaviour_weight:
            return {"loss": loss}
        behaviour = self.behaviour_error(decoded, rows)
        return {"loss": loss + settings.behaviour_weight * behaviour, "behaviour_error": behaviour}

    def disturbed(self, latents: Tensor) -> Tensor:
        """Latents with the settings' noise and clamping."""
        settings = self.settings
        if settings.latent_noise:
            latents = latents + settings.latent_noise * torch.randn_like(latents)
        return latents.clamp(-settings.latent_clamp, settings.latent_clamp) if settings.latent_clamp else latents

    def behaviour_error(self, decoded: Tensor, rows: Tensor) -> Tensor:
        """Mean squared difference of actions to the training policies `rows`, on states of each one's task."""
        assert self._states is not None
        observations = self._states.drawn(rows, self.settings.behaviour_states).to(decoded.device)
        with torch.no_grad():
            wanted = StackedPolicies(self._layout, self._training[rows]).means(observations)
        acted = StackedPolicies(self._layout, self.network.space.inverse(decoded)).means(observations)
        return (acted - wanted).square().mean()

    def validate(self) -> dict[str, float]:
        """Errors on held-out policies: of parameters over their variance, in all and by chunk, and of actions."""
        decoded = self.network.decode(self.network.latents_of(self.network.space(self._held_out)))
        difference, deviation = decoded - self._held_out, self._held_out - self._training.mean(0)
        first = self._layout.first_layer_size
        compared = self._compared()
        actions, wanted = (
            StackedPolicies(self._layout, params).means(compared) for params in (decoded, self._held_out)
        )
        return {
            "validation_error": _share(difference, deviation),
            "validation_action_error": float((actions - wanted).square().mean()),
            "validation_error_first_layer": _share(difference[:, :first], deviation[:, :first]),
            "validation_error_rest": _share(difference[:, first:], deviation[:, first:]),
        }

    def _compared(self) -> Tensor:
        """Observations on which held-out policies are compared: those of their own tasks, where they are known."""
        if self._held_out_states is not None:
            own = [spread_over(states, COMPARED_OBSERVATIONS) for states in self._held_out_states.own]
            return torch.stack(own).to(self._held_out.device)
        return spread_over(self._observations, COMPARED_OBSERVATIONS)


def spread_over(rows: Tensor, count: int) -> Tensor:
    """So many rows of `[M, ...]`, evenly spread; some stand twice where there are fewer."""
    return rows[torch.linspace(0, len(rows) - 1, count, device=rows.device).round().long()]


def _share(error: Tensor, deviation: Tensor) -> float:
    return float(error.square().sum() / deviation.square().sum().clamp_min(1e-30))
