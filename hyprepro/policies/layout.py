"""The flat parameter layout of a policy network: which numbers of a parameter vector are which weights.

Make-An-Agent's Meta-World policy is an MLP 39 -> 128 -> 128 with a mean and a log-std head of 4 each: 22,664 numbers
in the order linear1, linear2, mean, log_std, weight before bias (`display/` of its repository). Others may have one
hidden layer or several, of any widths. The layout belongs to a store and not to the code: activations, how the mean
becomes an action, and what an environment takes for an action of -1 and of 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from hyprepro.errors import UserError

Activation = Literal["relu", "elu", "tanh"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)

Squash = Literal["tanh", "clip"]
"""How a mean becomes an action in [-1, 1]: by tanh, as in SAC and TD3, or cut off there, as in PPO."""

Bounds = tuple[tuple[float, float], ...]
"""The least and the largest value of each number of an action."""

Precision = Literal["float16", "float32"]
"""How stored weights are kept."""

MOST_LAYERS, WIDEST = 16, 16_384


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
    """A Gaussian policy with one hidden layer or more as one flat vector.

    Attributes:
        layers: linear1, ..., then mean and log_std, each `.weight` then `.bias`.
        activations: After each hidden layer.
        squash: How the mean becomes an action in [-1, 1].
        bounds: What the environment takes for -1 and for 1, a pair for each number of an action; empty: the same.
    """

    layers: tuple[LayerSpec, ...]
    activations: tuple[Activation, ...]
    squash: Squash = "tanh"
    bounds: Bounds = ()

    @classmethod
    def mlp(
        cls,
        observation_size: int,
        hidden: int | Sequence[int],
        action_size: int,
        activations: tuple[Activation, ...],
        squash: Squash = "tanh",
        bounds: Bounds = (),
    ) -> PolicyLayout:
        """The layout of an MLP `observation_size -> hidden -> ... -> (mean, log_std)` of `action_size` each.

        Args:
            observation_size: Length of an observation.
            hidden: Width of each hidden layer; one number for as many equal ones as there are activations.
            action_size: Length of an action.
            activations: After each hidden layer.
            squash: How the mean becomes an action in [-1, 1].
            bounds: What the environment takes for -1 and for 1.
        """
        widths = (hidden,) * len(activations) if isinstance(hidden, int) else tuple(hidden)
        if len(widths) != len(activations) or not widths:
            raise ValueError(f"{len(widths)} hidden layers with {len(activations)} activations")
        sizes = (observation_size, *widths)
        layers, offset = [], 0
        for name, outputs, inputs in (
            *((f"linear{i + 1}", sizes[i + 1], sizes[i]) for i in range(len(widths))),
            *((head, action_size, widths[-1]) for head in ("mean", "log_std")),
        ):
            for part, shape in (("weight", (outputs, inputs)), ("bias", (outputs,))):
                layers.append(LayerSpec(f"{name}.{part}", shape, offset))
                offset += layers[-1].size
        return cls(tuple(layers), activations, squash, bounds)

    @property
    def size(self) -> int:
        """Length of the flat vector."""
        return self.layers[-1].offset + self.layers[-1].size

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of each hidden layer."""
        return tuple(spec.shape[0] for spec in self.layers[1:-4:2])

    @property
    def hidden(self) -> int:
        """Width of the first hidden layer, and of the others where they are alike."""
        return self.widths[0]

    @property
    def linears(self) -> tuple[str, ...]:
        """Names of the layers that an action depends on, without `.weight`: linear1, linear2, ..., mean."""
        return (*(f"linear{i + 1}" for i in range(len(self.widths))), "mean")

    @property
    def nonlinearities(self) -> tuple[Activation | Squash, ...]:
        """What follows each of `linears`: the activations, then the squashing."""
        return (*self.activations, self.squash)

    @property
    def observation_size(self) -> int:
        """Length of an observation."""
        return self.layers[0].shape[1]

    @property
    def action_size(self) -> int:
        """Length of an action."""
        return self.layers[-1].shape[0]

    @property
    def shape(self) -> str:
        """Sizes in words, such as `39 -> 128 -> 128 -> 4`."""
        return " -> ".join(map(str, (self.observation_size, *self.widths, self.action_size)))

    @property
    def first_layer_size(self) -> int:
        """Parameters of linear1, the first of the autoencoder's two chunks (5,120 for Meta-World)."""
        return self.layers[2].offset

    def to_environment(self, actions: NDArray[np.float32]) -> NDArray[np.float32]:
        """Actions `[..., act]` in [-1, 1] as the environment takes them; the same array where there are no bounds."""
        if not self.bounds:
            return actions
        low, high = np.array(self.bounds, dtype=np.float32).T
        scaled: NDArray[np.float32] = low + np.float32(0.5) * (actions + np.float32(1.0)) * (high - low)
        return scaled

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
        """JSON-ready description, as written into stores; what is as in Meta-World's policies is left out."""
        described: dict[str, Any] = {
            "layers": [{"name": s.name, "shape": list(s.shape), "offset": s.offset} for s in self.layers],
            "activations": list(self.activations),
        }
        described |= {"squash": self.squash} if self.squash != "tanh" else {}
        return described | ({"bounds": [list(pair) for pair in self.bounds]} if self.bounds else {})

    @classmethod
    def from_json(cls, data: Any) -> PolicyLayout:
        """Read a description that may come from an untrusted file.

        Raises:
            UserError: The description is malformed or is not the layout of such a policy.
        """
        try:
            layers = tuple(
                LayerSpec(str(row["name"]), tuple(int(n) for n in row["shape"]), int(row["offset"]))
                for row in data["layers"]
            )
            names = tuple(str(name) for name in data["activations"])
            squash = str(data.get("squash", "tanh"))
            bounds = tuple((float(low), float(high)) for low, high in data.get("bounds", ()))
            widths = [spec.shape[0] for spec in layers[1:-4:2]]
            sizes = layers[0].shape[1], layers[-1].shape[0]
        except (AttributeError, KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise UserError(
                "The layout table of the store is malformed.",
                where=str(error)[:200],
                fix="name a store that this version of hyprepro wrote, or write this one again",
            ) from None
        for kind, given, known in (("activation", names, ACTIVATIONS), ("squash", (squash,), get_args(Squash))):
            for name in given:
                if name not in known:
                    raise UserError(f"Unknown {kind} {name!r} in a policy layout.", fix=f"one of {', '.join(known)}")
        is_sane = 1 <= len(widths) == len(names) <= MOST_LAYERS and all(0 < n <= WIDEST for n in (*widths, *sizes))
        is_bounded = not bounds or (len(bounds) == sizes[1] and all(-math.inf < a < b < math.inf for a, b in bounds))
        layout = cls(layers, cast("tuple[Activation, ...]", names), cast(Squash, squash), bounds)
        if not (is_sane and is_bounded) or layout != cls.mlp(
            sizes[0], widths, sizes[1], layout.activations, layout.squash, layout.bounds
        ):
            raise UserError(
                "The layout table is not that of a policy with hidden layers, a mean and a log-std head.",
                fix="name a store that this version of hyprepro wrote, or write this one again",
            )
        return layout


METAWORLD_LAYOUT = PolicyLayout.mlp(39, 128, 4, ("relu", "relu"))
"""Our Meta-World policies: 22,664 parameters, ReLU/ReLU, so that they load into stable-baselines3."""

CHEETAH_LAYOUT = PolicyLayout.mlp(17, 64, 6, ("relu", "relu"))
"""Our Cheetah-Vel policies: 6,092 parameters. Paper says: nothing of their size."""
