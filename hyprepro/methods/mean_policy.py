"""The mean policy: the average of the training policies' weights, the same for every prompt of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hyprepro.methods.base import Method
from hyprepro.recipe import component, setting

if TYPE_CHECKING:
    from hyprepro.evaluation.controllers import Controllers
    from hyprepro.stores.files import StoreFiles
    from hyprepro.stores.prompts import Prompts


@component
class MeanPolicy(Method):
    """The mean of the training policies of the prompt's task; of all tasks where the task has none (an unseen task)."""

    label: ClassVar[str] = "mean-policy"
    knows: ClassVar[str] = "the prompt's task label and that task's training policies; not the prompt"

    block: int = setting(64, "Policies read at a time; bounds the memory.", ge=1)

    def deploy(self, trained: Any, data: StoreFiles, prompts: Prompts, seed: int) -> Controllers:
        """One and the same policy for every prompt."""
        from hyprepro.evaluation.controllers import PolicyControllers
        from hyprepro.methods.stored import training_blocks
        from hyprepro.stages.data import training_tasks

        with data.open_policies() as store:
            known = training_tasks(store)
            tasks = [prompts.task] if prompts.task in known else known
            total, count = np.zeros(store.layout.size), 0
            for block in training_blocks(store, tasks, self.block):
                total += block.sum(axis=0, dtype=np.float64)
                count += len(block)
            params = np.broadcast_to((total / count).astype(np.float32), (len(prompts), store.layout.size))
            return PolicyControllers(store.layout, params)
