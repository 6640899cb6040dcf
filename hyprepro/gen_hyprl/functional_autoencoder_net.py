"""The networks and the training step of `hyprepro.gen_hyprl.functional_autoencoder`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import cast

import torch
from torch import Tensor, nn

from hyprepro.engine.training import batch_of
from hyprepro.gen_hyprl.autoencoder_net import AutoencoderJob, PolicyAutoencoder, spread_over
from hyprepro.gen_hyprl.blocks import as_tokens, mlp
from hyprepro.gen_hyprl.functional_autoencoder import FunctionalAutoencoder
from hyprepro.gen_hyprl.losses import eq1_autoencoder
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import PolicyLayout

AT_ONCE = 64
"""Policies probed at once: their hidden layers in all probe states are in memory together."""

FIRST_OUTPUT = 0.1
"""Share of the usual size that D's last layer begins with: every policy begins near the reference."""


class FunctionalPolicyAutoencoder(PolicyAutoencoder):
    """E from actions, D to deviations from a reference policy.

    Args:
        settings: Its sizes.
        layout: The policies' layout.
    """

    probes: Tensor
    reference: Tensor

    def __init__(self, settings: FunctionalAutoencoder, layout: PolicyLayout) -> None:
        size = 2 * settings.latent_size
        encoder = mlp((settings.probes * layout.action_size, *settings.hidden, size))
        decoder = mlp((size, *settings.decoder_hidden, layout.size))
        norm = nn.LayerNorm(size, elementwise_affine=False)
        super().__init__(layout, [encoder], [decoder], norm, settings.latent_size)
        self.register_buffer("probes", torch.zeros(settings.probes, layout.observation_size))
        self.register_buffer("reference", torch.zeros(layout.size))
        with torch.no_grad():
            last = cast(nn.Linear, decoder[-1])
            last.weight.mul_(FIRST_OUTPUT)
            last.bias.zero_()

    @torch.no_grad()
    def refer_to(self, policy: Tensor, observations: Tensor) -> None:
        """Set the reference `[P]`, and the probe states to evenly spread ones of `[M, obs]`."""
        self.reference.copy_(self.space(policy[None])[0])
        self.probes.copy_(spread_over(observations, len(self.probes)))

    @torch.no_grad()
    def probed(self, params: Tensor) -> Tensor:
        """Actions of policies `[N, P]` in the probe states `[N, probes * action]`."""
        parts = [
            StackedPolicies(self.layout, some).means(self.probes).flatten(1) for some in torch.split(params, AT_ONCE)
        ]
        return torch.cat(parts)

    def latents_of_actions(self, actions: Tensor) -> Tensor:
        """Latents `[N, 2, D]` of what `probed` returned."""
        return as_tokens(self.norm(self.encoders[0](actions)))

    def latents_of(self, scaled: Tensor) -> Tensor:
        """Latents `[N, 2, D]` of scaled parameters `[N, P]`."""
        return self.latents_of_actions(self.probed(self.space.inverse(scaled)))

    def scaled_from(self, latents: Tensor) -> Tensor:
        """Scaled parameters `[N, P]` of latents `[N, 2, D]`."""
        deviation: Tensor = self.decoders[0](latents.flatten(1))
        return self.reference + deviation


class FunctionalJob(AutoencoderJob):
    """Differences of actions, and eq. 1 where it has a weight."""

    settings: FunctionalAutoencoder
    network: FunctionalPolicyAutoencoder

    def start(self) -> None:
        """The parameter space, the probe states and the reference: the first training policy."""
        super().start()
        self.network.refer_to(self._stored_training[0], self._observations)

    # Asked for at the first use: after a restart the probe states come with the checkpoint.
    @cached_property
    def _probed(self) -> Tensor:
        return self.network.probed(self._training)

    def losses(self) -> Mapping[str, Tensor]:
        """Of a batch of policies, with noise on their actions and latents."""
        settings, model = self.settings, self.network
        rows = batch_of(len(self._training), settings.batch_size).to(self._training.device)
        actions = self._probed[rows]
        latents = model.latents_of_actions(actions + settings.input_noise * torch.randn_like(actions))
        decoded = model.scaled_from(self.disturbed(latents))
        behaviour = self.behaviour_error(decoded, rows)
        loss = settings.behaviour_weight * behaviour
        if settings.scale:
            loss = loss + eq1_autoencoder(decoded, model.space(self._training[rows]), settings.scale)
        return {"loss": loss, "behaviour_error": behaviour}
