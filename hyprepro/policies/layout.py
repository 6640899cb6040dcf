"""The flat parameter layout of a policy network: which numbers of a parameter vector are which weights.

Make-An-Agent's Meta-World policy is an MLP 39 -> 128 -> 128 with a mean and a log-std head of 4 each: 22,664 numbers
in the order linear1, linear2, mean, log_std, weight before bias (`display/` of its repository). The layout,
activations included, belongs to a store and not to the code: a store of ELU/ReLU policies is read with the same
classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from hyprepro.errors import UserError

Activation = Literal["relu", "elu", "tanh"]
ACTIVATIONS: tuple[Activation, ...] = ("relu", "elu", "tanh")


@dataclass(frozen=True)
class LayerSpec:
    """One weight or bias: its name, its shape (weights are outputs x inputs) and its offset in the flat vector."""

    name: str
    shape: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        """Number of parameters."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class PolicyLayout:
    """A two-hidden-layer Gaussian policy as one flat vector.

    Attributes:
        layers: Eight entries: linear1, linear2, mean, log_std, each `.weight` then `.bias`.
        activations: After the first and after the second hidden layer.
    """

    layers: tuple[LayerSpec, ...]
    activations: tuple[Activation, Activation]

    @classmethod
    def mlp(
        cls, observation_size: int, hidden: int, action_size: int, activations: tuple[Activation, Activation]
    ) -> PolicyLayout:
        """The layout of an MLP `observation_size -> hidden -> hidden -> (mean, log_std)` of `action_size` each."""
        shapes = {
            "linear1.weight": (hidden, observation_size),
            "linear1.bias": (hidden,),
            "linear2.weight": (hidden, hidden),
            "linear2.bias": (hidden,),
            "mean.weight": (action_size, hidden),
            "mean.bias": (action_size,),
            "log_std.weight": (action_size, hidden),
            "log_std.bias": (action_size,),
        }
        layers, offset = [], 0
        for name, shape in shapes.items():
            layers.append(LayerSpec(name, shape, offset))
            offset += layers[-1].size
        return cls(tuple(layers), activations)

    @property
    def size(self) -> int:
        """Length of the flat vector."""
        return self.layers[-1].offset + self.layers[-1].size

    @property
    def hidden(self) -> int:
        """Width of both hidden layers."""
        return self.layers[0].shape[0]

    @property
    def observation_size(self) -> int:
        """Length of an observation."""
        return self.layers[0].shape[1]

    @property
    def action_size(self) -> int:
        """Length of an action."""
        return self.layers[4].shape[0]

    @property
    def first_layer_size(self) -> int:
        """Parameters of linear1, the first of the autoencoder's two chunks (5,120 for Meta-World)."""
        return self.layers[2].offset

    def split(self, flat: Any) -> dict[str, Any]:
        """Views of a flat array or tensor `[..., P]` by layer name, each `[..., *shape]`."""
        if flat.shape[-1] != self.size:
            raise ValueError(f"expected {self.size} parameters, got {flat.shape[-1]}")
        return {
            spec.name: flat[..., spec.offset : spec.offset + spec.size].reshape(*flat.shape[:-1], *spec.shape)
            for spec in self.layers
        }

    def join(self, parts: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        """The flat array `[..., P]` float32 from arrays by layer name; the inverse of `split`."""
        flat = []
        for spec in self.layers:
            part = np.asarray(parts[spec.name])
            flat.append(part.reshape(*part.shape[: part.ndim - len(spec.shape)], spec.size))
        return np.concatenate(flat, axis=-1).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready description, as written into stores."""
        return {
            "layers": [{"name": s.name, "shape": list(s.shape), "offset": s.offset} for s in self.layers],
            "activations": list(self.activations),
        }

    @classmethod
    def from_json(cls, data: Any) -> PolicyLayout:
        """Read a description that may come from an untrusted file.

        Raises:
            UserError: The description is malformed or is not the layout of a two-hidden-layer policy.
        """
        try:
            layers = tuple(
                LayerSpec(str(row["name"]), tuple(int(n) for n in row["shape"]), int(row["offset"]))
                for row in data["layers"]
            )
            first, second = (str(name) for name in data["activations"])
            hidden, observation_size = layers[0].shape
            action_size = layers[4].shape[0]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise UserError(
                "The layout table of the store is malformed.",
                where=str(error),
                fix="name a store that this version of hyprepro wrote, or write this one again",
            ) from None
        for name in (first, second):
            if name not in ACTIVATIONS:
                raise UserError(
                    f"Unknown activation {name!r} in a policy layout.", fix=f"one of {', '.join(ACTIVATIONS)}"
                )
        layout = cls(layers, (cast(Activation, first), cast(Activation, second)))
        if not 0 < hidden <= 4096 or layout != cls.mlp(observation_size, hidden, action_size, layout.activations):
            raise UserError(
                "The layout table is not that of a policy with two hidden layers, a mean and a log-std head.",
                fix="name a store that this version of hyprepro wrote, or write this one again",
            )
        return layout


METAWORLD_LAYOUT = PolicyLayout.mlp(39, 128, 4, ("relu", "relu"))
"""Our Meta-World policies: 22,664 parameters, ReLU/ReLU, so that they load into stable-baselines3."""

CHEETAH_LAYOUT = PolicyLayout.mlp(17, 64, 6, ("relu", "relu"))
"""Our Cheetah-Vel policies: 6,092 parameters. Paper says: nothing of their size."""
