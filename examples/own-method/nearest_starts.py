"""A method of one's own: the mean of the stored policies whose prompts begin most like the prompt that is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hyprepro.component import component, setting
from hyprepro.methods.base import WeightMethod
from hyprepro.methods.retrieval import training_prompts

if TYPE_CHECKING:
    from hyprepro.domains.base import Condition, Data, Query
    from hyprepro.gen_hyprl.adaptation import Start


@component
class NearestStarts(WeightMethod):
    """The mean of the k training policies whose prompts' first states lie nearest to the first state shown."""

    label: ClassVar[str] = "nearest-starts"
    knows: ClassVar[str] = "the prompt's first state; at test time every stored training prompt and policy"
    conditions: ClassVar[frozenset[Condition]] = frozenset({"prompt"})

    k: int = setting(4, "policies averaged", ge=1)

    def generate(self, trained: Any, data: Data, query: Query, seed: int) -> Start:
        """One policy a prompt; nothing is trained."""
        import torch

        from hyprepro.gen_hyprl.adaptation import Start

        with data.open_policies() as store:
            known = training_prompts(data, store)
            starts = np.concatenate([part.states[:, 0] for part in known])  # [n, 39]
            owners = [(part.task, row) for part in known for row in part.policy_rows]
            params = np.empty((query.n, store.layout.size), dtype=np.float32)
            for number, state in enumerate(query.shown.states[:, 0]):
                nearest = np.linalg.norm(starts - state, axis=1).argsort(kind="stable")[: self.k]
                policies = [store.read(owners[index][0], [owners[index][1]])[0] for index in nearest]
                params[number] = np.mean(policies, axis=0)
            return Start(store.layout, torch.from_numpy(params))
