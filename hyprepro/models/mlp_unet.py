"""G as the authors released it: an MLP whose widths form a U, with additive skip connections and no convolution.

Paper says: 1D-UNet.
Released code does: 256 inputs (128 noise, 128 embedding) -> 2048 -> 1024 -> 512 -> 256 -> 512 -> 1024 -> 2048 outputs
    (2 tokens x 1024), skips added at 512, 1024 and 2048 (the last from the first layer), Linear + BatchNorm + GELU +
    Dropout 0.1, first and last layer plain. 6.04 million weights at D = 1,024.
We chose: the same, with the outermost width tied to 2 D, which its last skip needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyprepro.models.generator import Generator
from hyprepro.recipe import Width, component, setting

if TYPE_CHECKING:
    from hyprepro.models.networks.mlp_unet import MLPUNet


@component
class MLPUNetGenerator(Generator):
    """Fully connected U of the released code."""

    widths: tuple[Width, ...] = setting(
        (1024, 512, 256),
        "inner widths from the outside to the bottom; the outermost is 2 D",
        source="released code",
        min_length=1,
    )
    dropout: float = setting(0.1, "share of hidden units dropped in training", source="released code", ge=0, lt=1)

    def build(self, condition_size: int, noise_size: int, latent_size: int) -> MLPUNet:
        """An untrained MLP U-Net."""
        from hyprepro.models.networks.mlp_unet import MLPUNet

        return MLPUNet(condition_size + noise_size, latent_size, self.widths, self.dropout)
