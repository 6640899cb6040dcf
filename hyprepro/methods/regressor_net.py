"""The regressor network, one training step of it and its validation; see `hyprepro.methods.regressor`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyprepro.engine.training import Descent, batch_of, device
from hyprepro.gen_hyprl.blocks import Scaling, as_tokens, condition_of
from hyprepro.gen_hyprl.choices import Condition
from hyprepro.gen_hyprl.conditions import LatentSamples
from hyprepro.methods.regressor import Regressor


class LatentRegressor(nn.Module):
    """tau_e -> Z.

    Args:
        network: Map of conditions `[N, C]` -> flattened, scaled latents `[N, 2 D]`.
        latent_size: D.
        kind: What of (h, v) the network sees.
    """

    def __init__(self, network: nn.Module, latent_size: int, kind: Condition) -> None:
        super().__init__()
        self.network = network
        self.kind: Condition = kind
        self.scaling = Scaling((2, latent_size))

    def scaled(self, h: Tensor, v: Tensor) -> Tensor:
        """Predicted latents `[N, 2, D]` in the scaling in which the network is trained."""
        return as_tokens(self.network(condition_of(h, v, self.kind)))

    def predict(self, h: Tensor, v: Tensor) -> Tensor:
        """Predicted latents `[N, 2, D]`, ready for the decoder, from embeddings `[N, E]`."""
        return self.scaling.inverse(self.scaled(h, v))

    def draw(self, h: Tensor, v: Tensor, draws: torch.Generator) -> Tensor:
        """The same as `predict`: a regressor draws nothing."""
        return self.predict(h, v)


class RegressorJob(Descent[Regressor, LatentRegressor]):
    """Mean squared error on batches of prompts.

    Args:
        settings: The regressor's settings.
        prompts: Encoded training prompts.
        held_out: Encoded validation prompts.
    """

    def __init__(self, settings: Regressor, prompts: LatentSamples, held_out: LatentSamples) -> None:
        super().__init__(settings, settings.build(*prompts.sizes), prompts.sizes)
        self._prompts, self._held_out = prompts.to(device()), held_out.to(device())
        self.network.scaling.fit(self._prompts.latents[self._prompts.policy], settings.latent_scaling)

    def losses(self) -> Mapping[str, Tensor]:
        """The squared error of a batch, in scaled latents."""
        rows = batch_of(len(self._prompts), self.settings.batch_size).to(self._prompts.h.device)
        h, v, latents = self._prompts.batch(rows)
        return {"loss": functional.mse_loss(self.network.scaled(h, v), self.network.scaling(latents))}

    def validate(self) -> dict[str, float]:
        """Squared error on held-out prompts over the variance of their true latents."""
        prompts, model = self._held_out, self.network
        h, v, latents = prompts.batch(torch.arange(len(prompts), device=prompts.h.device))
        target = model.scaling(latents)
        center = model.scaling(self._prompts.latents[self._prompts.policy].mean(0))
        variance = (target - center).square().mean()
        return {"validation_error": float((model.scaled(h, v) - target).square().mean() / variance)}
