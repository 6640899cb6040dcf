"""HyPoGen's network; see `hyprepro.methods.hypogen`."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from hyprepro.gen_hyprl.blocks import mlp

if TYPE_CHECKING:
    from hyprepro.methods.hypernetwork import Sizes
    from hyprepro.methods.hypernetwork_net import Layers
    from hyprepro.methods.hypogen import HyPoGen


class OptimisedLayers(nn.Module):
    """z `[C, code]` -> all layers of an MLP, by K steps from common first weights.

    Args:
        settings: Sizes and K.
        sizes: Of the MLP that is written.
    """

    def __init__(self, settings: HyPoGen, sizes: Sizes) -> None:
        super().__init__()
        self._layers = [nn.Linear(inputs, outputs) for inputs, outputs in pairwise(sizes)]
        self._norms = [_LayerUpdate(layer) for layer in self._layers]
        counts = [layer.weight.numel() + layer.bias.numel() for layer in self._layers]
        code, hidden = settings.layer_code, settings.codec_hidden
        self.first, self.norms = nn.ModuleList(self._layers), nn.ModuleList(self._norms)
        self.encoders = nn.ModuleList(mlp((count, hidden, code), "relu") for count in counts)
        self.decoders = nn.ModuleList(mlp((code, hidden, count), "relu") for count in counts)
        self.blocks = nn.ModuleList(OptimisationBlock(settings, sizes) for _ in range(settings.blocks))
        self.steps = nn.Parameter(torch.full((settings.blocks,), settings.first_step))

    def forward(self, z: Tensor) -> Layers:
        """The layers of each condition's MLP."""
        flat = [torch.cat([layer.weight.flatten(), layer.bias])[None] for layer in self._layers]
        for block, step in zip(self.blocks, self.steps, strict=True):
            codes = [encoder(part).expand(len(z), -1) for encoder, part in zip(self.encoders, flat, strict=True)]
            updates = zip(block(z, codes), self.decoders, self._norms, strict=True)
            changes = [norm(decoder(update)) for update, decoder, norm in updates]
            flat = [part + step * change for part, change in zip(flat, changes, strict=True)]
        return [norm.layer(part) for norm, part in zip(self._norms, flat, strict=True)]


class _LayerUpdate(nn.Module):
    """Normalises the change of a layer's weight and that of its bias, each over all its numbers.

    Args:
        layer: A layer of that shape.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self._shape = layer.weight.shape
        self.weight, self.bias = nn.LayerNorm(layer.weight.numel()), nn.LayerNorm(layer.bias.numel())

    def forward(self, flat: Tensor) -> Tensor:
        """`[C, weight and bias]` -> the same."""
        count = self._shape.numel()
        return torch.cat([self.weight(flat[:, :count]), self.bias(flat[:, count:])], dim=1)

    def layer(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """The weight `[C, outputs, inputs]` and the bias `[C, outputs]` in flat parameters."""
        count = self._shape.numel()
        return flat[:, :count].reshape(-1, *self._shape), flat[:, count:]


class OptimisationBlock(nn.Module):
    """One step: (z, the layers' codes) -> a change of each code.

    Args:
        settings: Sizes.
        sizes: Of the MLP that is written; a pseudo-input has its inputs, hidden ones `pseudo_width`.
    """

    def __init__(self, settings: HyPoGen, sizes: Sizes) -> None:
        super().__init__()
        hidden = settings.block_hidden
        widths = (sizes[0], *[settings.pseudo_width] * (len(sizes) - 2), sizes[-1])
        self.start = mlp((settings.code, hidden, widths[0]), "relu")
        self.slope = mlp((settings.code, hidden, widths[-1]), "relu")
        self._layers = [PseudoLayer(settings, *pair) for pair in pairwise(widths)]
        self.layers = nn.ModuleList(self._layers)

    def forward(self, z: Tensor, codes: list[Tensor]) -> list[Tensor]:
        """A change `[C, layer_code]` of each of the codes `[C, layer_code]`."""
        inputs = [self.start(z)]
        for layer, code in zip(self._layers[:-1], codes, strict=False):
            inputs.append(layer(inputs[-1], code))
        slope, changes = self.slope(z), []
        for number in reversed(range(len(codes))):
            slope, change = self._layers[number].back(inputs[number], codes[number], slope)
            changes.append(change)
        return changes[::-1]


class PseudoLayer(nn.Module):
    """Networks that stand for a layer and for the derivatives of its output.

    Args:
        settings: Sizes.
        inputs: Width of a pseudo-input.
        outputs: Width of a pseudo-output.
    """

    def __init__(self, settings: HyPoGen, inputs: int, outputs: int) -> None:
        super().__init__()
        code, hidden = settings.layer_code, settings.block_hidden
        self.output = mlp((inputs + code, hidden, outputs), "relu")
        self.by_input = mlp((inputs + code, hidden, outputs * inputs), "relu")
        self.by_code = mlp((inputs + code, hidden, outputs * code), "relu")
        self.product = mlp((2 * outputs, hidden, 1), "relu")
        self._outputs = outputs

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """The pseudo-output `[C, outputs]` of a pseudo-input `[C, inputs]` and a layer's code."""
        output: Tensor = self.output(torch.cat([x, code], dim=1))
        return output

    def back(self, x: Tensor, code: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """The slope of the loss by the input `[C, inputs]` and by the code, from that by the output `[C, outputs]`.

        By the code it is the chain rule's product; by the input a network stands for the product as well (released).
        """
        known = torch.cat([x, code], dim=1)
        by_input, by_code = (part(known).unflatten(1, (-1, self._outputs)) for part in (self.by_input, self.by_code))
        pairs = torch.cat([slope[:, None].expand(-1, by_input.shape[1], -1), by_input], dim=2)
        return self.product(pairs)[..., 0], (by_code @ slope[..., None])[..., 0]
