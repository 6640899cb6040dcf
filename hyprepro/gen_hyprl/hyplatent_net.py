"""The deployable part of HypLatent, a training step and its validation; choices in `hyprepro.gen_hyprl.hyplatent`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyprepro.engine.training import Job, RunningMean, batch_of, device
from hyprepro.gen_hyprl.blocks import Scaling, condition_of
from hyprepro.gen_hyprl.choices import Condition, condition_size
from hyprepro.gen_hyprl.conditions import LatentSamples
from hyprepro.gen_hyprl.hyplatent import HypLatent
from hyprepro.gen_hyprl.losses import eq3_generator, eq4_discriminator, eq5_regulariser


class LatentGenerator(nn.Module):
    """G with the fixed scalings around it: what deployment needs.

    Args:
        settings: The HypLatent settings.
        embedding_size: E, the length of h and of v.
        latent_size: D.
    """

    def __init__(self, settings: HypLatent, embedding_size: int, latent_size: int) -> None:
        super().__init__()
        self.kind: Condition = settings.condition
        self.noise_size = settings.noise_size
        self.network = settings.generator.build(
            condition_size(embedding_size, settings.condition), settings.noise_size, latent_size
        )
        self.scaling = Scaling((2, latent_size))

    def scaled(self, h: Tensor, v: Tensor, noise: Tensor) -> Tensor:
        """Generated latents `[N, 2, D]` in the scaling in which G is trained."""
        return cast(Tensor, self.network(condition_of(h, v, self.kind), noise))

    def generate(self, h: Tensor, v: Tensor, noise: Tensor) -> Tensor:
        """Z-hat `[N, 2, D]`, ready for the decoder, from embeddings `[N, E]` and noise `[N, noise_size]`."""
        return self.scaling.inverse(self.scaled(h, v, noise))

    def draw(self, h: Tensor, v: Tensor, draws: torch.Generator) -> Tensor:
        """One draw `[N, 2, D]` a prompt, ready for the decoder; the noise comes from `draws`."""
        return self.generate(h, v, torch.randn(len(h), self.noise_size, generator=draws))


VALIDATION_DRAWS = 8
VALIDATION_SEED = 0


class HypLatentJob(Job):
    """Alternating steps of F (with Q) and G.

    Args:
        settings: The HypLatent settings.
        prompts: Encoded training prompts.
        held_out: Encoded validation prompts.

    Attributes:
        kept: The generator to keep: the running mean of G's weights, or G itself.
    """

    kept: LatentGenerator

    def __init__(self, settings: HypLatent, prompts: LatentSamples, held_out: LatentSamples) -> None:
        self._settings = settings
        self._prompts, self._held_out = prompts.to(device()), held_out.to(device())
        self.shape = embedding_size, latent_size = prompts.sizes
        self._model = settings.build(embedding_size, latent_size).to(device())
        self._model.scaling.fit(self._prompts.latents[self._prompts.policy], settings.latent_scaling)
        self._discriminator = settings.discriminator.build(latent_size).to(device())
        condition = condition_of(self._prompts.h[:1], self._prompts.v[:1], settings.condition).shape[1]
        self._aux_head = settings.aux_head.build(self._discriminator.feature_size, condition).to(device())
        self.modules = {"generator": self._model, "discriminator": self._discriminator, "aux_head": self._aux_head}
        critics = [*self._discriminator.parameters(), *self._aux_head.parameters()]
        groups = {"generator": list(self._model.parameters()), "discriminator": critics}
        if settings.regulariser == "separate":
            groups["regulariser"] = [*groups["generator"], *critics]
        self.optimisers = {name: settings.optimiser(parameters) for name, parameters in groups.items()}
        self.kept, self._mean = self._model, None
        if settings.average_decay:
            self.kept = settings.build(embedding_size, latent_size).to(device())
            self._mean = RunningMean(self._model, self.kept, settings.average_decay)
            self.modules["kept"] = self.kept

    def step(self, step: int) -> Mapping[str, Tensor]:
        """One step of F, `generator_steps` of G, and eq. 5 inside them or on its own."""
        prompts, settings = self._prompts, self._settings
        rows = batch_of(len(prompts), settings.batch_size).to(prompts.h.device)
        h, v, latents = prompts.batch(rows)
        if settings.condition_noise:
            h, v = self._with_noise(h, prompts.h), self._with_noise(v, prompts.v)
        target = self._model.scaling(latents)
        fake = self._generate(h, v)
        losses = self._discriminator_step(step, h, v, target, fake.detach()) if self._is_adversarial else {}
        for i in range(settings.generator_steps):
            losses |= self._generator_step(step, h, v, target, fake if i == 0 else self._generate(h, v))
        if settings.regulariser == "separate" and settings.lambda_reg:
            losses |= self._regulariser_step(step, h, v)
        if self._mean is not None:
            self._mean.update(step)
        return losses

    def validate(self) -> dict[str, float]:
        """Errors and diversity of the kept generator on held-out prompts."""
        prompts, model = self._held_out, self.kept
        noise = torch.Generator().manual_seed(VALIDATION_SEED)
        h, v, latents = prompts.batch(torch.arange(len(prompts), device=prompts.h.device))
        size = (VALIDATION_DRAWS, len(h), self._settings.noise_size)
        draws = torch.stack([model.scaled(h, v, n) for n in torch.randn(size, generator=noise).to(h.device)])
        target = model.scaling(latents)
        center = model.scaling(self._prompts.latents[self._prompts.policy].mean(0))
        variance = (target - center).square().mean()
        return {
            "validation_error": float((draws - target).square().mean() / variance),
            "validation_error_of_mean": float((draws.mean(0) - target).square().mean() / variance),
            "validation_diversity": float((draws - draws.mean(0)).square().mean() / variance),
        }

    @property
    def _is_adversarial(self) -> bool:
        return self._settings.adversarial_weight > 0 or self._settings.lambda_reg > 0

    def _generate(self, h: Tensor, v: Tensor) -> Tensor:
        noise = torch.randn(len(h), self._settings.noise_size).to(h.device)
        return self._model.scaled(h, v, noise)

    def _with_noise(self, embedded: Tensor, all_embedded: Tensor) -> Tensor:
        """Embeddings `[k, E]` with noise, each number in proportion to its deviation over all prompts `[N, E]`."""
        noise = torch.randn(embedded.shape).to(embedded.device)
        return embedded + self._settings.condition_noise * all_embedded.std(0, correction=0) * noise

    def _recovery_error(self, features: Tensor, h: Tensor, v: Tensor) -> Tensor:
        return eq5_regulariser(self._aux_head(features), condition_of(h, v, self._settings.condition), weight=1.0)

    def _discriminator_step(self, step: int, h: Tensor, v: Tensor, target: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Eq. 4, and eq. 5 as far as F and Q can lower it, on generated latents that carry no gradient."""
        settings, critic = self._settings, self._discriminator
        features = critic.features(fake)
        real_target = 1 - _labels(len(h), 0.2, h) if settings.label_smoothing else None
        fake_target = _labels(len(h), 0.2, h) if settings.label_smoothing else None
        loss = eq4_discriminator(critic(target), critic.logit(features), real_target, fake_target)
        losses = {"discriminator_loss": loss.detach()}
        if settings.regulariser == "joint" and settings.lambda_reg:
            recovery = self._recovery_error(features, h, v)
            loss = loss + settings.lambda_reg * recovery
            losses["regulariser"] = recovery.detach()
        loss.backward()  # type: ignore[no-untyped-call]
        settings.update(self.optimisers["discriminator"], step)
        return losses

    def _generator_step(self, step: int, h: Tensor, v: Tensor, target: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Eq. 3 and the supervised term that the released code adds to it, and eq. 5 as far as G can lower it."""
        settings, critic = self._settings, self._discriminator
        supervised = functional.mse_loss(fake, target)
        losses = {"supervised_error": supervised.detach()}
        loss = settings.supervised_weight * supervised
        if self._is_adversarial:
            features = critic.features(fake)
            smoothed = 1 - _labels(len(h), 0.3, h) if settings.label_smoothing else None
            adversarial = eq3_generator(critic.logit(features), settings.generator_loss, smoothed)
            losses["generator_loss"] = adversarial.detach()
            loss = loss + settings.adversarial_weight * adversarial
            if settings.regulariser == "joint" and settings.lambda_reg:
                loss = loss + settings.lambda_reg * self._recovery_error(features, h, v)
        loss.backward(inputs=list(self._model.parameters()))  # type: ignore[no-untyped-call]
        settings.update(self.optimisers["generator"], step)
        return losses

    def _regulariser_step(self, step: int, h: Tensor, v: Tensor) -> dict[str, Tensor]:
        """Eq. 5 on G, F and Q together, as released."""
        recovery = self._recovery_error(self._discriminator.features(self._generate(h, v)), h, v)
        # F's own logit takes no part in eq. 5, so its head has no gradient here.
        (self._settings.lambda_reg * recovery).backward()  # type: ignore[no-untyped-call]
        self._settings.update(self.optimisers["regulariser"], step)
        return {"regulariser": recovery.detach()}


def _labels(count: int, largest: float, like: Tensor) -> Tensor:
    """The released code's label noise U(0.01, largest) `[count]`."""
    return (0.01 + (largest - 0.01) * torch.rand(count)).to(like.device)
