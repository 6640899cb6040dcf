"""Retrieval: the stored policy behind the training prompt with the nearest behaviour embedding.

Retrieval by agreement: the stored policy that would have acted most like the prompt.

The mean policy: the average of the training policies' weights, the same for every prompt of a task.

Policies out of the policy store, as methods need them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from hyprepro.component import component, setting
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.embedding import BehaviorEmbedding, ContrastiveEmbedding, TrainBehaviorEmbedding
from hyprepro.gen_hyprl.training import Condition
from hyprepro.methods.base import WeightMethod

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hyprepro.domains.base import Data, Query
    from hyprepro.gen_hyprl.adaptation import Start
    from hyprepro.gen_hyprl.embedding_net import PromptEmbedding
    from hyprepro.policies.layout import PolicyLayout
    from hyprepro.stores.files import StoreFiles
    from hyprepro.stores.policy_store import PolicyStore
    from hyprepro.stores.prompts import Prompts


@component
class Retrieval(WeightMethod):
    """The nearest of all training prompts of all tasks in the space of tau_e; its source policy is deployed."""

    label: ClassVar[str] = "retrieval"
    knows: ClassVar[str] = "the prompt; at test time every stored training prompt and policy"

    embedding: BehaviorEmbedding = setting(ContrastiveEmbedding(), "phi, psi and W (eq. 2)")
    condition: Condition = setting("h_and_v", "compare all of tau_e = (h, v), or h alone")
    distance: Literal["euclidean", "cosine"] = setting("euclidean", "how embeddings are compared")

    def training(self, data: Data, seed: int) -> TrainBehaviorEmbedding:
        """The same stage that the generators are conditioned with."""
        return TrainBehaviorEmbedding(self.embedding, data.policies, data.trajectories)

    def generate(self, trained: PromptEmbedding, data: Data, query: Query, seed: int) -> Start:
        """The nearest training prompt's policy for each prompt; of equally near ones the first in the store's order."""
        import torch

        from hyprepro.gen_hyprl.adaptation import Start

        prompts = query.shown
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

        from hyprepro.gen_hyprl.blocks import condition_of

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


@component
class AgreementRetrieval(WeightMethod):
    """Of all training policies of all tasks, the one that acts most like the prompt in the prompt's own 20 states.

    Most alike by the mean squared difference between tanh(mean) and the recorded action, clipped to [-1, 1]. Only those
    states count that the prompt holds with their action: s_0, s_3, ... with a_0, a_3, ... Nothing is trained.
    """

    label: ClassVar[str] = "agreement-retrieval"
    knows: ClassVar[str] = "the prompt; at test time every stored training policy"

    block: int = setting(16, "Policies compared at a time; bounds the memory.", ge=1)

    def generate(self, trained: Any, data: Data, query: Query, seed: int) -> Start:
        """The best-agreeing stored policy of each prompt; of equally good ones the first in the store's order."""
        import torch

        from hyprepro.gen_hyprl.adaptation import Start
        from hyprepro.stores.training_data import training_tasks

        prompts = query.shown
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

    from hyprepro.policies.forward import StackedPolicies

    states = torch.from_numpy(np.ascontiguousarray(prompts.states)).flatten(0, 1)
    wanted = torch.from_numpy(np.clip(prompts.actions[:, :, 0], -1.0, 1.0)).flatten(0, 1)
    with torch.inference_mode():
        actions = StackedPolicies(layout, params).means(states)
        squared = (actions - wanted).square().mean(dim=-1)
        errors: NDArray[np.float64] = squared.view(len(params), len(prompts), -1).double().mean(dim=-1).numpy()
    return errors


@component
class MeanPolicy(WeightMethod):
    """The mean of the training policies of the prompt's task; of all tasks where the task has none (an unseen task)."""

    label: ClassVar[str] = "mean-policy"
    knows: ClassVar[str] = "the prompt's task label and the training policies of that task, or of all for an unseen one"

    block: int = setting(64, "Policies read at a time; bounds the memory.", ge=1)

    def generate(self, trained: Any, data: Data, query: Query, seed: int) -> Start:
        """One and the same policy for every prompt."""
        import torch

        from hyprepro.gen_hyprl.adaptation import Start
        from hyprepro.stores.training_data import training_tasks

        with data.open_policies() as store:
            known = training_tasks(store)
            tasks = [query.task] if query.task in known else known
            total, count = np.zeros(store.layout.size), 0
            for block in training_blocks(store, tasks, self.block):
                total += block.sum(axis=0, dtype=np.float64)
                count += len(block)
            mean = torch.from_numpy((total / count).astype(np.float32))
            return Start(store.layout, mean.repeat(len(query.shown), 1))


def source_policies(data: StoreFiles, prompts: Prompts) -> tuple[PolicyLayout, NDArray[np.float32]]:
    """The stored policies that recorded the prompts, `[n, P]` in the prompts' order, and their layout.

    Raises:
        UserError: A prompt's policy is not in the store.
    """
    with data.open_policies() as store:
        missing = prompts.task not in store.tasks or bool((prompts.policy_rows < 0).any())
        if missing:
            raise UserError(
                f"The policies behind some {prompts.split} prompts of {prompts.task} are not stored.",
                where=data.policies.path,
                fix="leave out the methods that use the prompts' own policies (Expert, AutoencoderCeiling)",
            )
        return store.layout, store.read(prompts.task, prompts.policy_rows)


def training_prompts(data: StoreFiles, store: PolicyStore) -> list[Prompts]:
    """The training prompts of training policies, task by task in the store's order."""
    from hyprepro.stores.prompts import read_prompts
    from hyprepro.stores.training_data import training_tasks

    found = []
    with data.open_trajectories() as trajectories:
        for task in training_tasks(store):
            prompts = read_prompts(trajectories, task, "train")
            known = np.isin(prompts.policy_rows, store.rows(task, "train"))
            found.append(prompts.subset(np.flatnonzero(known)))
    return found


def training_blocks(store: PolicyStore, tasks: Sequence[str], block: int) -> Iterator[NDArray[np.float32]]:
    """The training policies of the tasks in the store's order, at most `block` at a time `[k, P]`."""
    for task in tasks:
        rows = store.rows(task, "train")
        for start in range(0, len(rows), block):
            yield store.read(task, rows[start : start + block])
