"""Prompt cloning: a fresh policy for each prompt, cloned on that prompt and on nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from hyprepro.component import component, setting
from hyprepro.methods.base import Method, derived_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hyprepro.domains.base import Condition, Data, Query
    from hyprepro.policies.controllers import Controllers
    from hyprepro.policies.forward import Weights
    from hyprepro.policies.layout import PolicyLayout


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
    conditions: ClassVar[frozenset[Condition]] = frozenset({"prompt"})

    pairs: Literal["blocks", "interpolated"] = setting(
        "interpolated",
        "blocks: the 20 states with the action taken there; interpolated: also the steps between, states filled in",
    )
    steps: int = setting(300, "Full-batch Adam steps.", ge=1)
    learning_rate: float = setting(1e-3, "Adam's learning rate.", gt=0)
    weight_decay: float = setting(0.0, "Adam's decoupled weight decay.", ge=0)
    deviation_floor: float = setting(1.0, "Smallest deviation that inputs are divided by; 1 m only centres them.", gt=0)
    input_noise: float = setting(0.02, "Deviation of the noise on standardised inputs, drawn anew each step.", ge=0)

    def deploy(self, trained: Any, data: Data, query: Query, seed: int) -> Controllers:
        """Train one policy for each prompt; the weights start from the seed and the task."""
        from hyprepro.policies.controllers import PolicyControllers
        from hyprepro.stores.prompts import block_pairs, interpolated_pairs

        with data.open_policies() as store:
            layout = store.layout
        pairs = interpolated_pairs if self.pairs == "interpolated" else block_pairs
        observations, actions = pairs(query.shown)
        return PolicyControllers(layout, self.clone(layout, observations, actions, derived_seed(seed, query.task)))

    def clone(
        self, layout: PolicyLayout, observations: NDArray[np.float32], actions: NDArray[np.float32], seed: int
    ) -> NDArray[np.float32]:
        """Policies `[n, P]`, each cloned on its own row of observations `[n, b, obs]` and actions `[n, b, act]`."""
        import torch

        from hyprepro.policies.forward import fit

        x = torch.from_numpy(observations)
        target = torch.from_numpy(actions).clamp(-1.0, 1.0)
        mean = x.mean(dim=1, keepdim=True)
        deviation = x.std(dim=1, keepdim=True, correction=0).clamp(min=self.deviation_floor)
        generator = torch.Generator().manual_seed(seed)
        weights = fit(
            layout,
            _initial(layout, len(x), generator),
            (x - mean) / deviation,
            target,
            steps=self.steps,
            learning_rate=self.learning_rate,
            input_noise=self.input_noise,
            draws=generator,
            weight_decay=self.weight_decay,
        )
        return _folded(layout, weights, mean, deviation)


def _initial(layout: PolicyLayout, n: int, generator: Any) -> Weights:
    """Weights by name, uniform within +-1/sqrt(inputs) as torch's linear layers start, stacked `[n, ...]`."""
    import torch

    weights: Weights = {}
    for spec in layout.layers:
        inputs = layout.observation_size if spec.name.startswith("linear1") else layout.hidden
        if not spec.name.startswith("log_std"):
            value = (2 * torch.rand((n, *spec.shape), generator=generator) - 1) / inputs**0.5
            weights[spec.name] = value
    return weights


def _folded(layout: PolicyLayout, weights: Weights, mean: Tensor, deviation: Tensor) -> NDArray[np.float32]:
    """Flat parameters `[n, P]` of policies that take unstandardised observations; the log-std head is zero."""
    from hyprepro.policies.forward import unstandardised

    parts = {name: value.numpy() for name, value in unstandardised(weights, mean, deviation).items()}
    n = len(parts["linear1.weight"])
    for spec in layout.layers:
        parts.setdefault(spec.name, np.zeros((n, *spec.shape), dtype=np.float32))
    return layout.join(parts)
