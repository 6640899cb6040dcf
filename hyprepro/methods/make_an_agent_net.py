"""Make-An-Agent's denoiser, its noise schedule and its training step; choices in `hyprepro.methods.make_an_agent`.

The denoiser is a 1D-UNet whose blocks are conditioned by FiLM. A block is convolution, GroupNorm, Mish, FiLM (scale * y
+ bias), convolution, GroupNorm, Mish, plus the input. Two blocks a resolution on the way down and up, two in the
middle; the finest resolution has none on the way up, so its skip connection is not used. All convolutions that change
the resolution are padded such that two positions stay two.

Schedule and sampler are the DDIM that Make-An-Agent takes from `diffusers`, in plain tensors. Noise levels 0 .. T-1 (0
is the least). With a(t) = cos^2((t + 0.008) / 1.008 * pi / 2), level i keeps the share alpha_i = prod_{j <= i} (1 -
beta_j) of the signal's variance, beta_j = min(1 - a((j+1)/T) / a(j/T), 0.999) ("squaredcos_cap_v2": beta_start and
beta_end of Make-An-Agent's configuration have no effect with it). Sampling is deterministic (eta = 0), on evenly spaced
levels ("leading" spacing), with a network that predicts the sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyprepro.engine.training import Descent, RunningMean, batch_of, device
from hyprepro.gen_hyprl.blocks import Scaling, condition_of
from hyprepro.gen_hyprl.choices import Condition, condition_size
from hyprepro.gen_hyprl.conditions import LatentSamples
from hyprepro.methods.make_an_agent import LatentDiffusion

TOKENS = 2


class LatentDenoiser(torch.nn.Module):
    """The denoiser with the noise schedule and the fixed scalings around it: what deployment needs.

    Args:
        settings: The diffusion's settings.
        embedding_size: E, the length of h and of v.
        latent_size: D.
    """

    def __init__(self, settings: LatentDiffusion, embedding_size: int, latent_size: int) -> None:
        super().__init__()
        self.kind: Condition = settings.condition
        self.ddim = DDIM(settings.noise_levels, settings.inference_steps, settings.clip)
        size = condition_size(embedding_size, settings.condition)
        self.network = ConditionalUNet1D(
            latent_size, size, settings.channels, settings.kernel, settings.groups, settings.step_embedding
        )
        self.scaling = Scaling((TOKENS, latent_size))
        self.condition_scaling = Scaling((size,))

    def condition(self, h: Tensor, v: Tensor) -> Tensor:
        """What the denoiser sees of embeddings `[N, E]`, scaled."""
        return cast(Tensor, self.condition_scaling(condition_of(h, v, self.kind)))

    def predicted(self, x: Tensor, level: Tensor, condition: Tensor) -> Tensor:
        """The clean latents `[N, 2, D]` that x `[N, 2, D]` at noise levels `[N]` is taken for, both scaled.

        The latent's entries are the UNet's channels, its two tokens the positions.
        """
        return cast(Tensor, self.network(x.mT, level, condition)).mT

    def scaled(self, h: Tensor, v: Tensor, noise: Tensor) -> Tensor:
        """Generated latents `[N, 2, D]` in the scaling in which the denoiser is trained."""
        condition = self.condition(h, v)

        def predict(x: Tensor, level: int) -> Tensor:
            return self.predicted(x, torch.full((len(x),), level, device=x.device), condition)

        return self.ddim.sample(predict, noise)

    def generate(self, h: Tensor, v: Tensor, noise: Tensor) -> Tensor:
        """Z-hat `[N, 2, D]`, ready for the decoder, from embeddings `[N, E]` and noise `[N, 2, D]`."""
        return self.scaling.inverse(self.scaled(h, v, noise))

    def draw(self, h: Tensor, v: Tensor, draws: torch.Generator) -> Tensor:
        """One draw `[N, 2, D]` a prompt, ready for the decoder; the noise comes from `draws`."""
        return self.generate(h, v, torch.randn(len(h), *self.scaling.shift.shape, generator=draws))


LONGEST_PERIOD = 10_000.0


class StepEmbedding(nn.Module):
    """Noise levels as sines and cosines of `size / 2` frequencies each, then a Mish MLP.

    Args:
        size: Length of the embedding, even.
    """

    frequencies: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        half = size // 2
        exponents = torch.arange(half) / max(half - 1, 1)
        self.register_buffer("frequencies", torch.exp(-math.log(LONGEST_PERIOD) * exponents), persistent=False)
        self.network = nn.Sequential(nn.Linear(size, 4 * size), nn.Mish(), nn.Linear(4 * size, size))

    def forward(self, level: Tensor) -> Tensor:
        """`[N, size]` of levels `[N]`."""
        angles = level[:, None] * self.frequencies
        return cast(Tensor, self.network(torch.cat([angles.sin(), angles.cos()], dim=1)))


class FiLMBlock(nn.Module):
    """Two convolutions, the first followed by a scale and a bias that the context gives to every channel.

    Args:
        inputs: Channels that enter.
        outputs: Channels that leave.
        context: Length of the context.
        kernel: Convolution width, odd.
        groups: Groups of each GroupNorm.
    """

    def __init__(self, inputs: int, outputs: int, context: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.first = convolution(inputs, outputs, kernel, groups)
        self.film = nn.Sequential(nn.Mish(), nn.Linear(context, 2 * outputs))
        self.second = convolution(outputs, outputs, kernel, groups)
        self.skip = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Features `[N, outputs, T]` from features `[N, inputs, T]` and the context `[N, context]`."""
        scale, bias = self.film(context)[:, :, None].chunk(2, dim=1)
        return cast(Tensor, self.second(scale * self.first(x) + bias) + self.skip(x))


class ConditionalUNet1D(nn.Module):
    """x `[N, inputs, 2]` at a noise level, with a condition, to `[N, inputs, 2]`.

    Args:
        inputs: Channels of x.
        condition_size: Length of the condition.
        channels: Channels at each resolution, finest first, at least two.
        kernel: Convolution width, odd.
        groups: Groups of each GroupNorm; divides every entry of `channels`.
        step_embedding: Length of the noise level's embedding, even.
    """

    def __init__(
        self, inputs: int, condition_size: int, channels: tuple[int, ...], kernel: int, groups: int, step_embedding: int
    ) -> None:
        super().__init__()
        context = step_embedding + condition_size
        self.step_embedding = StepEmbedding(step_embedding)

        def two_blocks(entering: int, leaving: int) -> nn.ModuleList:
            sizes = (entering, leaving, leaving)
            return nn.ModuleList(FiLMBlock(a, b, context, kernel, groups) for a, b in pairwise(sizes))

        levels = range(len(channels) - 1)
        self.down = nn.ModuleList(two_blocks(a, b) for a, b in pairwise((inputs, *channels)))
        self.downsample = nn.ModuleList(nn.Conv1d(channels[i], channels[i], 2, stride=2, padding=1) for i in levels)
        self.middle = two_blocks(channels[-1], channels[-1])
        self.up = nn.ModuleList(two_blocks(2 * channels[i + 1], channels[i]) for i in reversed(levels))
        self.upsample = nn.ModuleList(
            nn.ConvTranspose1d(channels[i], channels[i], 2, stride=2, padding=1) for i in reversed(levels)
        )
        self.head = nn.Sequential(
            convolution(channels[0], channels[0], kernel, groups), nn.Conv1d(channels[0], inputs, 1)
        )

    def forward(self, x: Tensor, level: Tensor, condition: Tensor) -> Tensor:
        """The prediction `[N, inputs, 2]` for x `[N, inputs, 2]` at levels `[N]` with conditions `[N, C]`."""
        context = torch.cat([self.step_embedding(level), condition], dim=1)
        skips = []
        for i, blocks in enumerate(self.down):
            x = _through(blocks, x, context)
            skips.append(x)
            if i < len(self.downsample):
                x = self.downsample[i](x)
        x = _through(self.middle, x, context)
        for blocks, upsample in zip(self.up, self.upsample, strict=True):
            x = upsample(_through(blocks, torch.cat([x, skips.pop()], dim=1), context))
        return cast(Tensor, self.head(x))


def convolution(inputs: int, outputs: int, kernel: int, groups: int) -> nn.Sequential:
    """A convolution that keeps the length, GroupNorm and Mish."""
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2), nn.GroupNorm(groups, outputs), nn.Mish()
    )


def _through(blocks: nn.Module, x: Tensor, context: Tensor) -> Tensor:
    for block in cast(nn.ModuleList, blocks):
        x = block(x, context)
    return x


LARGEST_BETA = 0.999


class DDIM:
    """Noises samples, and turns noise into a sample.

    Args:
        levels: T, noise levels in training.
        steps: Evaluations of the network a sample, at most T.
        clip: Predicted samples are clamped to +-clip in sampling; 0 switches it off.
    """

    def __init__(self, levels: int, steps: int, clip: float) -> None:
        self.levels = levels
        self.steps = [step * (levels // steps) for step in reversed(range(steps))]
        self._stride = levels // steps
        self._clip = clip
        self._kept = torch.tensor([1 - beta for beta in _betas(levels)], dtype=torch.float32).cumprod(0)

    def noised(self, sample: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """Samples `[N, ...]` with noise of the same shape at levels `[N]`."""
        kept = self._kept.to(sample.device)[level].reshape(-1, *[1] * (sample.dim() - 1))
        return kept.sqrt() * sample + (1 - kept).sqrt() * noise

    def step(self, predicted: Tensor, level: int, x: Tensor) -> Tensor:
        """The next lower level's x, from x at `level` and the sample that the network predicts for it."""
        below = level - self._stride
        kept: float = self._kept[level].item()
        target: float = self._kept[below].item() if below >= 0 else 1.0
        noise = (x - math.sqrt(kept) * predicted) / math.sqrt(
            1 - kept
        )  # of the prediction as it is, before it is clamped
        if self._clip:
            predicted = predicted.clamp(-self._clip, self._clip)
        return math.sqrt(target) * predicted + math.sqrt(1 - target) * noise

    def sample(self, predict: Callable[[Tensor, int], Tensor], noise: Tensor) -> Tensor:
        """Samples from noise `[N, ...]`; `predict` maps (x, level) to the predicted samples."""
        x = noise
        for level in self.steps:
            x = self.step(predict(x, level), level, x)
        return x


def _betas(levels: int) -> list[float]:
    def signal(time: float) -> float:
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    return [min(1 - signal((i + 1) / levels) / signal(i / levels), LARGEST_BETA) for i in range(levels)]


VALIDATION_DRAWS = 8
VALIDATION_SEED = 0


class LatentDiffusionJob(Descent[LatentDiffusion, LatentDenoiser]):
    """The denoiser learns to predict latents from noised ones.

    Args:
        settings: The diffusion's settings.
        prompts: Encoded training prompts.
        held_out: Encoded validation prompts.

    Attributes:
        kept: The denoiser to keep: the trained one, or the running mean of its weights.
    """

    def __init__(self, settings: LatentDiffusion, prompts: LatentSamples, held_out: LatentSamples) -> None:
        super().__init__(settings, settings.build(*prompts.sizes), prompts.sizes)
        self._prompts, self._held_out = prompts.to(device()), held_out.to(device())
        latents = self._prompts.latents[self._prompts.policy]
        self.network.scaling.fit(latents, settings.latent_scaling)
        condition = condition_of(self._prompts.h, self._prompts.v, settings.condition)
        self.network.condition_scaling.fit(condition, settings.condition_scaling)
        self._common = Scaling(tuple(latents.shape[1:])).to(device())
        self._common.fit(latents, "common")
        self._mean: RunningMean | None = None
        if settings.evaluated == "ema":
            self.kept = settings.build(*prompts.sizes).to(device())
            self._mean = RunningMean(self.network, self.kept, settings.average_decay)
            self.modules["kept"] = self.kept

    def losses(self) -> Mapping[str, Tensor]:
        """The squared error between the latents of a batch and predictions from their noised versions."""
        prompts, model = self._prompts, self.network
        rows = batch_of(len(prompts), self.settings.batch_size).to(prompts.h.device)
        h, v, latents = prompts.batch(rows)
        target = model.scaling(latents)
        level = torch.randint(model.ddim.levels, (len(rows),)).to(target.device)
        x = model.ddim.noised(target, torch.randn(target.shape).to(target.device), level)
        return {"loss": functional.mse_loss(model.predicted(x, level, model.condition(h, v)), target)}

    def step(self, step: int) -> Mapping[str, Tensor]:
        """Descend, and take the weights into their running mean."""
        losses = super().step(step)
        if self._mean is not None:
            self._mean.update(step)
        return losses

    def validate(self) -> dict[str, float]:
        """Errors and diversity of whole draws on held-out prompts."""
        prompts, common = self._held_out, self._common
        noise = torch.Generator().manual_seed(VALIDATION_SEED)
        h, v, latents = prompts.batch(torch.arange(len(prompts), device=prompts.h.device))
        size = (VALIDATION_DRAWS, *latents.shape)
        draws = torch.stack(
            [common(self.kept.generate(h, v, n)) for n in torch.randn(size, generator=noise).to(h.device)]
        )
        target = common(latents)
        variance = target.square().mean()  # common scaling puts the training latents' mean at zero
        return {
            "validation_error": float((draws - target).square().mean() / variance),
            "validation_error_of_mean": float((draws.mean(0) - target).square().mean() / variance),
            "validation_diversity": float((draws - draws.mean(0)).square().mean() / variance),
        }
