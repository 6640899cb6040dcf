"""Retrieval: the stored policy behind the training prompt with the nearest behaviour embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from hyprepro.methods.adapted import WeightMethod
from hyprepro.models.behavior_embedding import BehaviorEmbedding, ContrastiveEmbedding
from hyprepro.models.options import Condition
from hyprepro.recipe import component, setting
from hyprepro.stages.behavior_embedding import TrainBehaviorEmbedding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hyprepro.models.adaptation import Start
    from hyprepro.models.networks.behavior_embedding import PromptEmbedding
    from hyprepro.stores.files import StoreFiles
    from hyprepro.stores.prompts import Prompts


@component
class Retrieval(WeightMethod):
    """The nearest of all training prompts of all tasks in the space of tau_e; its source policy is deployed."""

    label: ClassVar[str] = "retrieval"
    knows: ClassVar[str] = "the prompt; at test time every stored training prompt and policy"

    embedding: BehaviorEmbedding = setting(ContrastiveEmbedding(), "phi, psi and W (eq. 2)")
    condition: Condition = setting("h_and_v", "compare all of tau_e = (h, v), or h alone")
    distance: Literal["euclidean", "cosine"] = setting("euclidean", "how embeddings are compared")

    def training(self, data: StoreFiles, seed: int) -> TrainBehaviorEmbedding:
        """The same stage that the generators are conditioned with."""
        return TrainBehaviorEmbedding(self.embedding, data.policies, data.trajectories)

    def generate(self, trained: PromptEmbedding, data: StoreFiles, prompts: Prompts, seed: int) -> Start:
        """The nearest training prompt's policy for each prompt; of equally near ones the first in the store's order."""
        import torch

        from hyprepro.methods.stored import training_prompts
        from hyprepro.models.adaptation import Start

        with data.open_policies() as store:
            known = training_prompts(data, store)
            candidates = np.concatenate([self._embedded(trained, part) for part in known])
            tasks = np.concatenate([np.full(len(part), number) for number, part in enumerate(known)])
            rows = np.concatenate([part.policy_rows for part in known])
            nearest = _nearest(self._embedded(trained, prompts), candidates)
            params = np.empty((len(prompts), store.layout.size), dtype=np.float32)
            for number, part in enumerate(known):
                chosen = tasks[nearest] == number
                params[chosen] = store.read(part.task, rows[nearest[chosen]])
            return Start(store.layout, torch.from_numpy(params))

    def _embedded(self, trained: PromptEmbedding, prompts: Prompts) -> NDArray[np.float64]:
        import torch

        from hyprepro.models.networks.blocks import condition_of

        with torch.no_grad():
            h, v = trained.embed(torch.from_numpy(prompts.tau), torch.from_numpy(prompts.tau_hat))
            tau_e = condition_of(h, v, self.condition).double()
            if self.distance == "cosine":  # on unit vectors both distances give the same order
                tau_e = torch.nn.functional.normalize(tau_e, dim=1)
            embedded: NDArray[np.float64] = tau_e.numpy()
        return embedded


def _nearest(queries: NDArray[np.float64], candidates: NDArray[np.float64]) -> NDArray[np.int64]:
    squared = (candidates**2).sum(axis=1) - 2 * queries @ candidates.T  # |q|^2 is the same for all candidates
    return np.asarray(squared.argmin(axis=1), dtype=np.int64)
