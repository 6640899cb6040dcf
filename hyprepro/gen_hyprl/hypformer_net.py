"""The HypFormer network, a training step and its validation; choices in `hyprepro.gen_hyprl.hypformer`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyprepro.engine.training import Descent, batch_of, device
from hyprepro.gen_hyprl.blocks import Scaling, as_tokens, condition_of, mlp
from hyprepro.gen_hyprl.choices import Condition, condition_size
from hyprepro.gen_hyprl.conditions import LatentSamples
from hyprepro.gen_hyprl.hypformer import HypFormer
from hyprepro.gen_hyprl.hyplatent_net import LatentGenerator
from hyprepro.gen_hyprl.losses import eq6_similarity, eq7_residue, eq8_consistency, eq9_hypformer

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
        self.chooses = settings.output == "choice"
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
        if self.chooses:
            self.score_head = mlp((width, width, 1))
            return
        self.latent_head = mlp((width, width, size))
        self.residue_head = mlp((width, width, size))
        if settings.latent_skip:
            for head in (self.latent_head, self.residue_head):
                nn.init.zeros_(cast(Tensor, head[-1].weight))
                nn.init.zeros_(cast(Tensor, head[-1].bias))

    def forward(self, candidates: Tensor, h: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Z_pred and the residue, `[N, 2, D]` each, from scaled candidates `[N, L, 2, D]` and embeddings `[N, E]`.

        With a choice Z_pred is the chosen candidate, and the residue is zero.
        """
        if self.chooses:
            best = self.scores(candidates, h, v).argmax(1)
            chosen = candidates[torch.arange(len(candidates), device=candidates.device), best]
            return chosen, torch.zeros_like(chosen)
        tokens = self._tokens(candidates, h, v)
        latent, residue = (self._averaged(head, tokens) for head in (self.latent_head, self.residue_head))
        if self.latent_skip:
            latent = latent + candidates.mean(1)
        return latent, residue

    def scores(self, candidates: Tensor, h: Tensor, v: Tensor) -> Tensor:
        """The score of each candidate `[N, L]`, where the output is a choice."""
        scores: Tensor = self.score_head(self._tokens(candidates, h, v)[:, 1:-1])[..., 0]
        return scores

    def _tokens(self, candidates: Tensor, h: Tensor, v: Tensor) -> Tensor:
        """What the layer makes of the learned token, the candidates and tau_e `[N, L + 2, width]`."""
        flat = candidates.flatten(2)
        tokens = self.candidate_in(torch.cat([self.learned_token.expand(len(flat), -1, -1), flat], dim=1))
        condition = self.condition_in(condition_of(h, v, self.kind))[:, None]
        attended: Tensor = self.attention(self.shared(torch.cat([tokens, condition], dim=1)))
        return attended

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


ROWS_AT_ONCE = 512


class HypFormerJob(Descent[HypFormer, Aggregator]):
    """Eq. 9 on batches of prompts with L candidates each.

    Args:
        settings: The HypFormer settings.
        generator: The frozen generator.
        prompts: Encoded training prompts.
        held_out: Encoded validation prompts.
        seed: Seed of the candidate bank and of validation candidates.
    """

    def __init__(
        self,
        settings: HypFormer,
        generator: LatentGenerator,
        prompts: LatentSamples,
        held_out: LatentSamples,
        seed: int,
    ) -> None:
        super().__init__(settings, settings.build(*prompts.sizes), prompts.sizes)
        self._generator = generator.to(device())
        self._prompts, self._held_out = prompts.to(device()), held_out.to(device())
        self.network.scaling.load_state_dict(generator.scaling.state_dict())
        # Drawn from a generator of their own, so that resumption finds the same candidates again.
        draws = torch.Generator().manual_seed(seed)
        self._held_out_candidates = candidates(self._generator, self._held_out, settings.candidates, draws)
        self._bank = candidates(self._generator, self._prompts, settings.bank, draws) if settings.bank else None

    def losses(self) -> Mapping[str, Tensor]:
        """Eq. 9 and its parts on a batch; of a choice the cross entropy to the candidate nearest to the truth."""
        settings, model, prompts = self.settings, self.network, self._prompts
        rows = batch_of(len(prompts), settings.batch_size).to(prompts.h.device)
        h, v, true = prompts.batch(rows)
        target, drawn = model.scaling(true), self._candidates(rows, h, v)
        if model.chooses:
            nearest = (drawn - target[:, None]).square().flatten(2).mean(2).argmin(1)
            scores = model.scores(drawn, h, v)
            accuracy = (scores.argmax(1) == nearest).float().mean()
            return {"loss": functional.cross_entropy(scores, nearest), "accuracy": accuracy}
        latent, residue = model(drawn, h, v)
        base = latent.detach() if settings.residue_target == "latent_head" else drawn.mean(1)
        parts = (
            eq6_similarity(latent, target, settings.similarity),
            eq7_residue(residue, target - base, settings.residue_loss),
            eq8_consistency(latent, residue, target),
        )
        loss = eq9_hypformer(*parts, (settings.lambda_sim, settings.lambda_res, settings.lambda_c))
        return {"loss": loss, **dict(zip(("similarity_loss", "residue_loss", "consistency_loss"), parts, strict=True))}

    def validate(self) -> dict[str, float]:
        """Errors of the aggregated latent and of the mean candidate on held-out prompts."""
        prompts, model = self._held_out, self.network
        h, v, true = prompts.h, prompts.v, prompts.true
        target = model.scaling(true)
        center = model.scaling(self._prompts.true.mean(0))
        variance = (target - center).square().mean()
        latent, residue = model(self._held_out_candidates, h, v)
        return {
            "validation_error": float((latent + residue - target).square().mean() / variance),
            "validation_error_of_mean_candidate": float(
                (self._held_out_candidates.mean(1) - target).square().mean() / variance
            ),
        }

    @torch.no_grad()
    def _candidates(self, rows: Tensor, h: Tensor, v: Tensor) -> Tensor:
        """L scaled candidates `[k, L, 2, D]` for some training prompts: new ones, or a random choice from the bank."""
        count = self.settings.candidates
        if self._bank is None:
            noise = torch.randn(len(rows) * count, self._generator.noise_size).to(h.device)
            drawn = self._generator.scaled(h.repeat_interleave(count, dim=0), v.repeat_interleave(count, dim=0), noise)
            return drawn.reshape(len(rows), count, *drawn.shape[1:])
        choice = torch.rand(len(rows), self._bank.shape[1]).argsort(1)[:, :count].to(h.device)
        return self._bank[rows[:, None], choice]


@torch.no_grad()
def candidates(generator: LatentGenerator, prompts: LatentSamples, count: int, draws: torch.Generator) -> Tensor:
    """Scaled candidates `[N, count, 2, D]` for all prompts, a batch at a time."""
    parts = []
    for start in range(0, max(len(prompts), 1), ROWS_AT_ONCE):  # of no prompts a batch of none
        h, v = prompts.h[start : start + ROWS_AT_ONCE], prompts.v[start : start + ROWS_AT_ONCE]
        noise = torch.randn(count, len(h), generator.noise_size, generator=draws).to(h.device)
        parts.append(torch.stack([generator.scaled(h, v, n) for n in noise], dim=1))
    return torch.cat(parts)
