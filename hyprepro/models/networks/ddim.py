"""The DDIM noise schedule and sampler that Make-An-Agent takes from `diffusers`, in plain tensors.

Noise levels 0 .. T-1 (0 is the least). With a(t) = cos^2((t + 0.008) / 1.008 * pi / 2), level i keeps the share
alpha_i = prod_{j <= i} (1 - beta_j) of the signal's variance, beta_j = min(1 - a((j+1)/T) / a(j/T), 0.999)
("squaredcos_cap_v2": beta_start and beta_end of Make-An-Agent's configuration have no effect with it). Sampling is
deterministic (eta = 0), on evenly spaced levels ("leading" spacing), with a network that predicts the sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

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
