"""The behaviour embedding's networks; choices and sources in `hyprepro.models.behavior_embedding`."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from hyprepro.models.networks.scaling import Scaling


class PromptEmbedding(nn.Module):
    """A trained or trainable (phi, psi, W).

    Args:
        phi: Map of scaled prompts `[N, T]` -> h `[N, E]`.
        psi: Map of scaled post-success states `[N, S]` -> v `[N, E]`.
        sizes: T and S (1,020 and 117 in Meta-World).
        embedding_size: E.
        clip: Scaled inputs are clamped to +-clip.
    """

    def __init__(
        self, phi: nn.Module, psi: nn.Module, sizes: tuple[int, int], embedding_size: int, clip: float
    ) -> None:
        super().__init__()
        self.phi = phi
        self.psi = psi
        self.clip = clip
        self.prompt_scaling = Scaling((sizes[0],))
        self.outcome_scaling = Scaling((sizes[1],))
        self.h_scaling = Scaling((embedding_size,))
        self.v_scaling = Scaling((embedding_size,))
        self.similarity = nn.Parameter(torch.empty(embedding_size, embedding_size))
        nn.init.orthogonal_(self.similarity, gain=embedding_size**-0.5)

    def raw(self, tau: Tensor, tau_hat: Tensor, noise: float = 0.0) -> tuple[Tensor, Tensor]:
        """The embeddings h and v `[N, E]` as eq. 2 compares them.

        Args:
            tau: Prompts `[N, T]`.
            tau_hat: Post-success states `[N, S]`.
            noise: Deviation of normal noise that is added to the scaled inputs.
        """
        prompt = self.prompt_scaling(tau).clamp(-self.clip, self.clip)
        outcome = self.outcome_scaling(tau_hat).clamp(-self.clip, self.clip)
        if noise:
            prompt = prompt + noise * torch.randn_like(prompt)
            outcome = outcome + noise * torch.randn_like(outcome)
        return cast(Tensor, self.phi(prompt)), cast(Tensor, self.psi(outcome))

    def embed(self, tau: Tensor, tau_hat: Tensor) -> tuple[Tensor, Tensor]:
        """The behaviour embedding (h, v), `[N, E]` each, as the later stages take it."""
        h, v = self.raw(tau, tau_hat)
        return self.h_scaling(h), self.v_scaling(v)
