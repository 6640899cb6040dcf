"""G: as the paper names it, a convolutional 1D-UNet over the latent axis, and as the authors released it, an MLP.

Paper says: "a 1D UNet architecture (Ronneberger et al. 2015) for the generator"; no sizes, no word on
    how tau_e and n enter.
Released code does: an MLP with U-shaped widths and no convolution; see below.
We chose: an MLP turns (tau_e, n) into a context; a linear stem lays the context out along the D axis, since G has no
    input signal, `patch` latent numbers a position; blocks of two convolutions a resolution, halving and doubling with
    skip connections, each conditioned on the context by FiLM (or by constant channels); a linear guess from the context
    is added to the output, so that the convolutions refine it.

The MLP's widths form a U, with additive skip connections and no convolution.

Released code does: 256 inputs (128 noise, 128 embedding) -> 2048 -> 1024 -> 512 -> 256 -> 512 -> 1024 -> 2048 outputs
    (2 tokens x 1024), skips added at 512, 1024 and 2048 (the last from the first layer), Linear + BatchNorm + GELU +
    Dropout 0.1, first and last layer plain. 6.04 million weights at D = 1,024.
We chose: the same, with the outermost width tied to 2 D, which its last skip needs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from hyprepro.component import Component, Width, component, setting
from hyprepro.errors import UserError

if TYPE_CHECKING:
    from hyprepro.gen_hyprl.generators_net import GeneratorNetwork, MLPUNet, UNet1D


class Generator(Component, ABC):
    """Slot of G."""

    slot: ClassVar[str] = "generator"

    def check_latents(self, latent_size: int) -> None:
        """Whether it can make latents of 2 tokens x `latent_size` (`UserError` if not)."""

    @abstractmethod
    def build(self, condition_size: int, noise_size: int, latent_size: int) -> GeneratorNetwork:
        """An untrained generator.

        Args:
            condition_size: C, 256 for (h, v), 128 for h alone.
            noise_size: 128 in Meta-World.
            latent_size: D.

        Raises:
            UserError: If the settings do not fit these sizes.
        """


@component
class UNet1DGenerator(Generator):
    """Convolutional 1D-UNet over the D axis; the paper's G."""

    channels: tuple[Width, ...] = setting((16, 32, 64), "channels at each resolution, finest first", min_length=2)
    patch: Width = setting(4, "latent numbers a token at each position of the finest resolution")
    kernel: int = setting(3, "convolution width (odd)", ge=1, le=15)
    groups: Width = setting(4, "groups of each GroupNorm; divides every entry of channels")
    context: Width = setting(256, "size of the shared code of (tau_e, n) that conditions every block")
    conditioning: Literal["film", "concat"] = setting(
        "film", "how that code enters a block: scale and shift, or channels"
    )
    noise_gain: float = setting(0.1, "initial weight of the noise, as a share of the usual one", ge=0, le=1)

    def check(self) -> None:
        """The groups divide all channels, and the kernel has a middle (`UserError` if not)."""
        if any(width % self.groups for width in self.channels) or self.kernel % 2 == 0:
            raise UserError(
                f"channels {self.channels} must be multiples of groups = {self.groups}, kernel = {self.kernel} odd.",
                where="UNet1DGenerator.channels, UNet1DGenerator.groups, UNet1DGenerator.kernel",
                fix="hyprepro explain UNet1DGenerator",
            )

    def check_latents(self, latent_size: int) -> None:
        """The coarsest positions tile D (`UserError` if not)."""
        coarsest = self.patch * 2 ** (len(self.channels) - 1)
        if latent_size % coarsest:
            raise UserError(
                f"The 1D-UNet's coarsest position covers {coarsest} numbers, which does not divide D = {latent_size}.",
                where="UNet1DGenerator.channels, UNet1DGenerator.patch",
                fix="use fewer entries in UNet1DGenerator.channels, a smaller patch or another latent_size",
            )

    def build(self, condition_size: int, noise_size: int, latent_size: int) -> UNet1D:
        """An untrained 1D-UNet (`UserError` if its settings do not fit together, or D)."""
        from hyprepro.gen_hyprl.generators_net import UNet1D

        self.check()
        self.check_latents(latent_size)
        return UNet1D(self, condition_size, noise_size, latent_size)


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
        from hyprepro.gen_hyprl.generators_net import MLPUNet

        return MLPUNet(condition_size + noise_size, latent_size, self.widths, self.dropout)
