"""One training step of HypFormer, and its validation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hyprepro.losses import eq6_similarity, eq7_residue, eq8_consistency, eq9_hypformer
from hyprepro.models.hypformer import HypFormer
from hyprepro.models.networks.hyplatent import LatentGenerator
from hyprepro.stages.latents import PromptLatents
from hyprepro.stages.training import Job, batch_of, device

ROWS_AT_ONCE = 512


class HypFormerJob(Job):
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
        prompts: PromptLatents,
        held_out: PromptLatents,
        seed: int,
    ) -> None:
        self._settings = settings
        self._generator = generator.to(device())
        self._prompts, self._held_out = prompts.to(device()), held_out.to(device())
        self._model = settings.build(*prompts.sizes).to(device())
        self._model.scaling.load_state_dict(generator.scaling.state_dict())
        # Drawn from a generator of their own, so that resumption finds the same candidates again.
        draws = torch.Generator().manual_seed(seed)
        self._held_out_candidates = candidates(self._generator, self._held_out, settings.candidates, draws)
        self._bank = candidates(self._generator, self._prompts, settings.bank, draws) if settings.bank else None
        self._optimiser = settings.optimiser(self._model.parameters())
        self.modules = {"hypformer": self._model}
        self.optimisers = {"hypformer": self._optimiser}

    def step(self, step: int) -> Mapping[str, Tensor]:
        """One step of eq. 9."""
        settings, model, prompts = self._settings, self._model, self._prompts
        rows = batch_of(len(prompts), settings.batch_size).to(prompts.h.device)
        h, v, true = prompts.batch(rows)
        target, drawn = model.scaling(true), self._candidates(rows, h, v)
        latent, residue = model(drawn, h, v)
        base = latent.detach() if settings.residue_target == "latent_head" else drawn.mean(1)
        parts = (
            eq6_similarity(latent, target, settings.similarity),
            eq7_residue(residue, target - base, settings.residue_loss),
            eq8_consistency(latent, residue, target),
        )
        loss = eq9_hypformer(*parts, (settings.lambda_sim, settings.lambda_res, settings.lambda_c))
        loss.backward()  # type: ignore[no-untyped-call]
        settings.update(self._optimiser, step)
        names = ("similarity_loss", "residue_loss", "consistency_loss")
        return {"loss": loss.detach(), **{name: part.detach() for name, part in zip(names, parts, strict=True)}}

    def validate(self) -> dict[str, float]:
        """Errors of the aggregated latent and of the mean candidate on held-out prompts."""
        prompts, model = self._held_out, self._model
        h, v, true = prompts.batch(torch.arange(len(prompts), device=prompts.h.device))
        target = model.scaling(true)
        center = model.scaling(self._prompts.latents[self._prompts.policy].mean(0))
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
        count = self._settings.candidates
        if self._bank is None:
            noise = torch.randn(len(rows) * count, self._generator.noise_size).to(h.device)
            drawn = self._generator.scaled(h.repeat_interleave(count, dim=0), v.repeat_interleave(count, dim=0), noise)
            return drawn.reshape(len(rows), count, *drawn.shape[1:])
        choice = torch.rand(len(rows), self._bank.shape[1]).argsort(1)[:, :count].to(h.device)
        return self._bank[rows[:, None], choice]


@torch.no_grad()
def candidates(generator: LatentGenerator, prompts: PromptLatents, count: int, draws: torch.Generator) -> Tensor:
    """Scaled candidates `[N, count, 2, D]` for all prompts, a batch at a time."""
    parts = []
    for start in range(0, len(prompts), ROWS_AT_ONCE):
        h, v = prompts.h[start : start + ROWS_AT_ONCE], prompts.v[start : start + ROWS_AT_ONCE]
        noise = torch.randn(count, len(h), generator.noise_size, generator=draws).to(h.device)
        parts.append(torch.stack([generator.scaled(h, v, n) for n in noise], dim=1))
    return torch.cat(parts)
