"""One training step of the behaviour embedding, and its validation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hyprepro.losses import eq2_behavior
from hyprepro.models.behavior_embedding import BehaviorEmbedding
from hyprepro.stages.data import PromptSet
from hyprepro.stages.training import Job, batch_of, device

LARGEST_COMPARISON = 512
"""Held-out prompts are compared with at most this many others."""


class EmbeddingJob(Job):
    """Eq. 2 on batches of prompts.

    Args:
        settings: The embedding's settings.
        prompts: Training prompts.
        held_out: Validation prompts.
    """

    def __init__(self, settings: BehaviorEmbedding, prompts: PromptSet, held_out: PromptSet) -> None:
        self._settings = settings
        self._model = settings.build((prompts.tau.shape[1], prompts.tau_hat.shape[1])).to(device())
        self._tau, self._tau_hat = prompts.tau.to(device()), prompts.tau_hat.to(device())
        spread = torch.linspace(0, len(held_out) - 1, min(len(held_out), LARGEST_COMPARISON)).round().long()
        self._held_out = (held_out.tau[spread].to(device()), held_out.tau_hat[spread].to(device()))
        self._held_out_task = held_out.task[spread].to(device())
        self._model.prompt_scaling.fit(self._tau, settings.input_scaling)
        self._model.outcome_scaling.fit(self._tau_hat, settings.input_scaling)
        self._optimiser = settings.optimiser(self._model.parameters())
        self.modules = {"embedding": self._model}
        self.optimisers = {"embedding": self._optimiser}

    def step(self, step: int) -> Mapping[str, Tensor]:
        """One step of eq. 2."""
        settings = self._settings
        rows = batch_of(len(self._tau), settings.batch_size).to(self._tau.device)
        h, v = self._model.raw(self._tau[rows], self._tau_hat[rows], settings.input_noise)
        loss = eq2_behavior(h, v, self._model.similarity, settings.loss)
        loss.backward()  # type: ignore[no-untyped-call]
        settings.update(self._optimiser, step)
        return {"loss": loss.detach(), "accuracy": _best(h, v, self._model.similarity).eq(_own(h)).float().mean()}

    def validate(self) -> dict[str, float]:
        """Eq. 2 and how often the own outcome, or one of the same task, scores highest, on held-out prompts."""
        h, v = self._model.raw(*self._held_out)
        best, task = _best(h, v, self._model.similarity), self._held_out_task
        return {
            "validation_loss": float(eq2_behavior(h, v, self._model.similarity, self._settings.loss)),
            "validation_accuracy": float((best == _own(h)).float().mean()),
            "validation_task_accuracy": float((task[best] == task).float().mean()),
        }

    @torch.no_grad()
    def fit_output_scaling(self) -> None:
        """Set the scaling of h and v from the training prompts, after training."""
        h, v = self._model.raw(self._tau, self._tau_hat)
        self._model.h_scaling.fit(h, self._settings.output_scaling)
        self._model.v_scaling.fit(v, self._settings.output_scaling)


@torch.no_grad()
def _best(h: Tensor, v: Tensor, similarity: Tensor) -> Tensor:
    """The outcome that each prompt scores highest `[N]`."""
    return (h @ similarity @ v.mT).argmax(1)


def _own(h: Tensor) -> Tensor:
    return torch.arange(len(h), device=h.device)
