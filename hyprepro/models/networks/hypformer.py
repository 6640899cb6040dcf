"""The HypFormer network; choices and sources in `hyprepro.models.hypformer`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from hyprepro.models.networks.blocks import as_tokens, condition_of, mlp
from hyprepro.models.networks.scaling import Scaling
from hyprepro.models.options import Condition, condition_size

if TYPE_CHECKING:
    from hyprepro.models.hypformer import HypFormer

LARGEST_ATTENTION = 2**26
"""Attention weights held at once: 256 MiB."""


class CandidateAggregator(nn.Module, ABC):
    """One latent of several candidates."""

    @abstractmethod
    def aggregate(self, candidates: Tensor, h: Tensor, v: Tensor) -> Tensor:
        """A latent `[N, 2, D]` of unscaled candidates `[N, L, 2, D]` and embeddings `[N, E]`."""


class MeanOfCandidates(CandidateAggregator):
    """The plain mean."""

    def aggregate(self, candidates: Tensor, h: Tensor, v: Tensor) -> Tensor:
        """The mean candidate `[N, 2, D]`."""
        return candidates.mean(1)


class Aggregator(CandidateAggregator):
    """The network that `HypFormer` describes, with the latent scaling in which it is trained.

    Args:
        settings: The HypFormer settings.
        embedding_size: E, the length of h and of v.
        latent_size: D.
    """

    def __init__(self, settings: HypFormer, embedding_size: int, latent_size: int) -> None:
        super().__init__()
        width, size = settings.width, 2 * latent_size
        self.kind: Condition = settings.condition
        self.latent_skip = settings.latent_skip
        self.scaling = Scaling((2, latent_size))
        self.learned_token = nn.Parameter(0.02 * torch.randn(1, 1, size))
        self.candidate_in = mlp((size, width, width), dropout=settings.dropout)
        self.condition_in = nn.Linear(condition_size(embedding_size, settings.condition), width)
        self.shared = mlp((width, width, width), dropout=settings.dropout)
        # batch_first=False on [N, T, width] is the released code's mistake: attention then runs over N, separately
        # for each token.
        self.attention = nn.TransformerEncoderLayer(
            width,
            settings.heads,
            settings.feedforward,
            settings.dropout,
            batch_first=settings.attention == "candidates",
        )
        self.latent_head = mlp((width, width, size))
        self.residue_head = mlp((width, width, size))
        if settings.latent_skip:
            for head in (self.latent_head, self.residue_head):
                nn.init.zeros_(cast(Tensor, head[-1].weight))
                nn.init.zeros_(cast(Tensor, head[-1].bias))

    def forward(self, candidates: Tensor, h: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Z_pred and the residue, `[N, 2, D]` each, from scaled candidates `[N, L, 2, D]` and embeddings `[N, E]`."""
        flat = candidates.flatten(2)
        tokens = self.candidate_in(torch.cat([self.learned_token.expand(len(flat), -1, -1), flat], dim=1))
        condition = self.condition_in(condition_of(h, v, self.kind))[:, None]
        tokens = self.attention(self.shared(torch.cat([tokens, condition], dim=1)))
        latent, residue = (self._averaged(head, tokens) for head in (self.latent_head, self.residue_head))
        if self.latent_skip:
            latent = latent + candidates.mean(1)
        return latent, residue

    @staticmethod
    def _averaged(head: nn.Sequential, tokens: Tensor) -> Tensor:
        """A head's mean over the tokens. Its last layer is linear, so the mean is taken before it."""
        return as_tokens(head[-1](head[:-1](tokens).mean(1)))

    def aggregate(self, candidates: Tensor, h: Tensor, v: Tensor) -> Tensor:
        """The refined latent `[N, 2, D]`, ready for the decoder, of unscaled candidates `[N, L, 2, D]`.

        With attention over the batch the result for one prompt depends on all others of the call, as in the released
        code; otherwise prompts are taken in blocks whose attention fits into memory.
        """
        rows = self._rows_at_once(*candidates.shape[:2])
        refined = []
        for start in range(0, len(candidates), rows):
            block = slice(start, start + rows)
            latent, residue = self(self.scaling(candidates[block]), h[block], v[block])
            refined.append(latent + residue)
        return self.scaling.inverse(torch.cat(refined))

    def _rows_at_once(self, prompts: int, candidates: int) -> int:
        attention = self.attention.self_attn
        if not attention.batch_first:
            return max(prompts, 1)
        return max(1, LARGEST_ATTENTION // int(attention.num_heads * (candidates + 2) ** 2))
