"""Prompt cloning: a fresh policy for each prompt, cloned on that prompt and on nothing else."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from hyprepro.methods.base import Method
from hyprepro.recipe import component, setting

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hyprepro.evaluation.controllers import Controllers
    from hyprepro.policies.layout import PolicyLayout
    from hyprepro.stores.files import StoreFiles
    from hyprepro.stores.prompts import Prompts

_FRAME = 18
"""Numbers of one frame: an observation is the current frame, the previous one and the goal."""


@component
class PromptCloning(Method):
    """Behaviour cloning on the prompt alone: no training policy, no other prompt.

    Networks of the store's layout, one a prompt, trained as stacked tensors by Adam on all pairs at once to the squared
    difference between tanh(mean) and the recorded action. Inputs are standardised by the prompt's own mean and
    deviation, which is folded into the first layer, so that what is deployed is an ordinary policy. The defaults were
    chosen on validation prompts of the seen tasks.
    """

    label: ClassVar[str] = "prompt-cloning"
    knows: ClassVar[str] = "the prompt alone; no training policy, no other prompt"

    pairs: Literal["blocks", "interpolated"] = setting(
        "interpolated",
        "blocks: the 20 states with the action taken there; interpolated: also the steps between, states filled in",
    )
    steps: int = setting(300, "Full-batch Adam steps.", ge=1)
    learning_rate: float = setting(1e-3, "Adam's learning rate.", gt=0)
    weight_decay: float = setting(0.0, "Adam's decoupled weight decay.", ge=0)
    deviation_floor: float = setting(1.0, "Smallest deviation that inputs are divided by; 1 m only centres them.", gt=0)
    input_noise: float = setting(0.02, "Deviation of the noise on standardised inputs, drawn anew each step.", ge=0)

    def deploy(self, trained: Any, data: StoreFiles, prompts: Prompts, seed: int) -> Controllers:
        """Train one policy for each prompt; the weights start from the seed and the task."""
        from hyprepro.evaluation.controllers import PolicyControllers

        with data.open_policies() as store:
            layout = store.layout
        observations, actions = interpolated_pairs(prompts) if self.pairs == "interpolated" else block_pairs(prompts)
        return PolicyControllers(layout, self.clone(layout, observations, actions, _number(seed, prompts.task)))

    def clone(
        self, layout: PolicyLayout, observations: NDArray[np.float32], actions: NDArray[np.float32], seed: int
    ) -> NDArray[np.float32]:
        """Policies `[n, P]`, each cloned on its own row of observations `[n, b, obs]` and actions `[n, b, act]`."""
        import torch

        x = torch.from_numpy(observations)
        target = torch.from_numpy(actions).clamp(-1.0, 1.0)
        mean = x.mean(dim=1, keepdim=True)
        deviation = x.std(dim=1, keepdim=True, correction=0).clamp(min=self.deviation_floor)
        x = (x - mean) / deviation
        generator = torch.Generator().manual_seed(seed)
        weights = _initial(layout, len(x), generator)
        optimiser = torch.optim.AdamW(
            weights.values(), lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        for _ in range(self.steps):
            noise = self.input_noise * torch.randn(x.shape, generator=generator) if self.input_noise else 0.0
            error = (_forward(layout, weights, x + noise) - target).square()
            loss = error.mean(dim=(1, 2)).sum()  # the sum over prompts: each network gets its own gradient only
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            optimiser.zero_grad()
        return _folded(layout, weights, mean, deviation)


def block_pairs(prompts: Prompts) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The states s_3k `[n, 20, 39]` and the actions a_3k `[n, 20, 4]`."""
    return np.ascontiguousarray(prompts.states), np.ascontiguousarray(prompts.actions[:, :, 0])


def interpolated_pairs(prompts: Prompts) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The states s_0, s_1, ..., s_57 `[n, 58, 39]` and their actions `[n, 58, 4]`.

    A state holds the previous frame, so s_3k+3 gives the frame of step 3k + 2 exactly; only that of step 3k + 1 is the
    midpoint of its neighbours.
    """
    states, actions = prompts.states, prompts.actions
    n, blocks = states.shape[:2]
    frames = np.empty((n, 3 * blocks - 2, _FRAME), dtype=np.float32)
    frames[:, 0::3] = states[:, :, :_FRAME]
    frames[:, 2::3] = states[:, 1:, _FRAME : 2 * _FRAME]
    frames[:, 1::3] = (frames[:, 0:-1:3] + frames[:, 2::3]) / 2
    full = np.repeat(states, 3, axis=1)[:, : 3 * blocks - 2]
    full[:, :, :_FRAME] = frames
    full[:, 1:, _FRAME : 2 * _FRAME] = frames[:, :-1]
    return full, actions.reshape(n, 3 * blocks, -1)[:, : 3 * blocks - 2].copy()


def _initial(layout: PolicyLayout, n: int, generator: Any) -> dict[str, Tensor]:
    """Weights by name, uniform within +-1/sqrt(inputs) as torch's linear layers start, stacked `[n, ...]`."""
    import torch

    weights: dict[str, Tensor] = {}
    for spec in layout.layers:
        inputs = layout.observation_size if spec.name.startswith("linear1") else layout.hidden
        if not spec.name.startswith("log_std"):
            value = (2 * torch.rand((n, *spec.shape), generator=generator) - 1) / inputs**0.5
            weights[spec.name] = value.requires_grad_()
    return weights


def _forward(layout: PolicyLayout, weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """tanh(mean) `[n, b, act]` of stacked policies, differentiable."""
    import torch

    functions = {"relu": torch.relu, "elu": torch.nn.functional.elu, "tanh": torch.tanh}
    for name, activation in zip(("linear1", "linear2", "mean"), (*layout.activations, "tanh"), strict=True):
        x = torch.baddbmm(weights[f"{name}.bias"].unsqueeze(1), x, weights[f"{name}.weight"].mT)
        x = functions[activation](x)
    return x


def _folded(layout: PolicyLayout, weights: dict[str, Tensor], mean: Tensor, deviation: Tensor) -> NDArray[np.float32]:
    """Flat parameters `[n, P]` of policies that take unstandardised observations; the log-std head is zero."""
    parts = {name: value.detach().numpy() for name, value in weights.items()}
    n = len(parts["linear1.weight"])
    scaled = parts["linear1.weight"] / deviation.numpy()
    parts["linear1.weight"] = scaled
    parts["linear1.bias"] = parts["linear1.bias"] - (scaled @ mean.numpy().mT)[:, :, 0]
    for spec in layout.layers:
        parts.setdefault(spec.name, np.zeros((n, *spec.shape), dtype=np.float32))
    return layout.join(parts)


def _number(seed: int, task: str) -> int:
    """A torch seed that differs between tasks."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{task}".encode()).digest()[:4], "big")
