"""The behaviour embedding's networks, a training step and its validation; choices in `hyprepro.gen_hyprl.embedding`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from hyprepro.engine.training import Descent, batch_of, device
from hyprepro.gen_hyprl.blocks import Scaling
from hyprepro.gen_hyprl.embedding import BehaviorEmbedding
from hyprepro.gen_hyprl.losses import eq2_behavior
from hyprepro.stores.training_data import PromptSet


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


LARGEST_COMPARISON = 512
"""Held-out prompts are compared with at most this many others."""


class EmbeddingJob(Descent[BehaviorEmbedding, PromptEmbedding]):
    """Eq. 2 on batches of prompts.

    Args:
        settings: The embedding's settings.
        prompts: Training prompts.
        held_out: Validation prompts.
    """

    def __init__(self, settings: BehaviorEmbedding, prompts: PromptSet, held_out: PromptSet) -> None:
        sizes = (prompts.tau.shape[1], prompts.tau_hat.shape[1])
        super().__init__(settings, settings.build(*sizes), sizes)
        self._tau, self._tau_hat = prompts.tau.to(device()), prompts.tau_hat.to(device())
        spread = torch.linspace(0, len(held_out) - 1, min(len(held_out), LARGEST_COMPARISON)).round().long()
        self._held_out = (held_out.tau[spread].to(device()), held_out.tau_hat[spread].to(device()))
        self._held_out_task = held_out.task[spread].to(device())
        self.network.prompt_scaling.fit(self._tau, settings.input_scaling)
        self.network.outcome_scaling.fit(self._tau_hat, settings.input_scaling)

    def losses(self) -> Mapping[str, Tensor]:
        """Eq. 2 on a batch."""
        settings, similarity = self.settings, self.network.similarity
        rows = batch_of(len(self._tau), settings.batch_size).to(self._tau.device)
        h, v = self.network.raw(self._tau[rows], self._tau_hat[rows], settings.input_noise)
        accuracy = _best(h, v, similarity).eq(_own(h)).float().mean()
        return {"loss": eq2_behavior(h, v, similarity, settings.loss), "accuracy": accuracy}

    def validate(self) -> dict[str, float]:
        """Eq. 2 and how often the own outcome, or one of the same task, scores highest, on held-out prompts."""
        h, v = self.network.raw(*self._held_out)
        best, task = _best(h, v, self.network.similarity), self._held_out_task
        return {
            "validation_loss": float(eq2_behavior(h, v, self.network.similarity, self.settings.loss)),
            "validation_accuracy": float((best == _own(h)).float().mean()),
            "validation_task_accuracy": float((task[best] == task).float().mean()),
        }

    @torch.no_grad()
    def finish(self) -> None:
        """The scaling of h and v over the training prompts."""
        h, v = self.network.raw(self._tau, self._tau_hat)
        self.network.h_scaling.fit(h, self.settings.output_scaling)
        self.network.v_scaling.fit(v, self.settings.output_scaling)


@torch.no_grad()
def _best(h: Tensor, v: Tensor, similarity: Tensor) -> Tensor:
    """The outcome that each prompt scores highest `[N]`."""
    return (h @ similarity @ v.mT).argmax(1)


def _own(h: Tensor) -> Tensor:
    return torch.arange(len(h), device=h.device)
