"""Retrieval by agreement: the stored policy that would have acted most like the prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hyprepro.methods.adapted import WeightMethod
from hyprepro.recipe import component, setting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hyprepro.models.adaptation import Start
    from hyprepro.policies.layout import PolicyLayout
    from hyprepro.stores.files import StoreFiles
    from hyprepro.stores.prompts import Prompts


@component
class AgreementRetrieval(WeightMethod):
    """Of all training policies of all tasks, the one that acts most like the prompt in the prompt's own 20 states.

    Most alike by the mean squared difference between tanh(mean) and the recorded action, clipped to [-1, 1]. Only those
    states count that the prompt holds with their action: s_0, s_3, ... with a_0, a_3, ... Nothing is trained.
    """

    label: ClassVar[str] = "agreement-retrieval"
    knows: ClassVar[str] = "the prompt; at test time every stored training policy"

    block: int = setting(16, "Policies compared at a time; bounds the memory.", ge=1)

    def generate(self, trained: Any, data: StoreFiles, prompts: Prompts, seed: int) -> Start:
        """The best-agreeing stored policy of each prompt; of equally good ones the first in the store's order."""
        import torch

        from hyprepro.methods.stored import training_blocks
        from hyprepro.models.adaptation import Start
        from hyprepro.stages.data import training_tasks

        with data.open_policies() as store:
            best = np.full(len(prompts), np.inf)
            params = np.zeros((len(prompts), store.layout.size), dtype=np.float32)
            for block in training_blocks(store, training_tasks(store), self.block):
                errors = disagreement(store.layout, block, prompts)
                nearest = errors.argmin(axis=0)
                lowest = errors[nearest, np.arange(len(prompts))]
                better = lowest < best
                best[better] = lowest[better]
                params[better] = block[nearest[better]]
            return Start(store.layout, torch.from_numpy(params))


def disagreement(layout: PolicyLayout, params: NDArray[np.float32], prompts: Prompts) -> NDArray[np.float64]:
    """Mean squared difference `[k, n]` between the actions of `k` policies `[k, P]` and those of `n` prompts."""
    import torch

    from hyprepro.policies.stacked import StackedPolicies

    states = torch.from_numpy(np.ascontiguousarray(prompts.states)).flatten(0, 1)
    wanted = torch.from_numpy(np.clip(prompts.actions[:, :, 0], -1.0, 1.0)).flatten(0, 1)
    with torch.inference_mode():
        actions = StackedPolicies(layout, params).means(states)
        squared = (actions - wanted).square().mean(dim=-1)
        errors: NDArray[np.float64] = squared.view(len(params), len(prompts), -1).double().mean(dim=-1).numpy()
    return errors
