"""The mean policy: the average of the training policies' weights, the same for every prompt of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hyprepro.methods.adapted import WeightMethod
from hyprepro.recipe import component, setting

if TYPE_CHECKING:
    from hyprepro.models.adaptation import Start
    from hyprepro.stores.files import StoreFiles
    from hyprepro.stores.prompts import Prompts


@component
class MeanPolicy(WeightMethod):
    """The mean of the training policies of the prompt's task; of all tasks where the task has none (an unseen task)."""

    label: ClassVar[str] = "mean-policy"
    knows: ClassVar[str] = "the prompt's task label and the training policies of that task, or of all for an unseen one"

    block: int = setting(64, "Policies read at a time; bounds the memory.", ge=1)

    def generate(self, trained: Any, data: StoreFiles, prompts: Prompts, seed: int) -> Start:
        """One and the same policy for every prompt."""
        import torch

        from hyprepro.methods.stored import training_blocks
        from hyprepro.models.adaptation import Start
        from hyprepro.stages.data import training_tasks

        with data.open_policies() as store:
            known = training_tasks(store)
            tasks = [prompts.task] if prompts.task in known else known
            total, count = np.zeros(store.layout.size), 0
            for block in training_blocks(store, tasks, self.block):
                total += block.sum(axis=0, dtype=np.float64)
                count += len(block)
            mean = torch.from_numpy((total / count).astype(np.float32))
            return Start(store.layout, mean.repeat(len(prompts), 1))
