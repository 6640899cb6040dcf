"""Stored policies in the place of generated ones: the nearest one, the most alike one, a mix, the mean of all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from hyprepro.component import component, setting
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.adaptation import Start
from hyprepro.gen_hyprl.autoencoder import Autoencoder, LinearAutoencoder, TrainAutoencoder
from hyprepro.gen_hyprl.choices import Condition
from hyprepro.gen_hyprl.embedding import BehaviorEmbedding, ContrastiveEmbedding, TrainBehaviorEmbedding
from hyprepro.gen_hyprl.neighbours import nearest, place, ranges_of
from hyprepro.methods.base import Method, WeightMethod

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hyprepro.domains.base import Condition as Told
    from hyprepro.domains.base import Data, Query
    from hyprepro.engine.stage import Stage
    from hyprepro.gen_hyprl.autoencoder_net import PolicyAutoencoder
    from hyprepro.gen_hyprl.embedding_net import PromptEmbedding
    from hyprepro.policies.controllers import Controllers
    from hyprepro.policies.layout import PolicyLayout
    from hyprepro.stores.files import StoreFiles
    from hyprepro.stores.policy_store import PolicyStore
    from hyprepro.stores.prompts import Prompts


Checkpoints = Literal["all", "last"]


@component
class Retrieval(WeightMethod):
    """The policy behind the nearest training condition.

    Where the condition is a prompt: the nearest of all training prompts of all tasks in the space of tau_e. Where it is
    numbers, and `checkpoints` counts: the nearest training task; of equally near ones that with the smaller numbers.
    """

    label: ClassVar[str] = "retrieval"
    knows: ClassVar[str] = "the {told}; at test time every stored training {told} and policy"

    embedding: BehaviorEmbedding = setting(ContrastiveEmbedding(), "phi, psi and W (eq. 2)")
    condition: Condition = setting("h_and_v", "compare all of tau_e = (h, v), or h alone")
    distance: Literal["euclidean", "cosine"] = setting("euclidean", "how embeddings are compared")
    checkpoints: Checkpoints = setting("last", "the last stored checkpoint of that task, or all of them in turn")

    def training(self, data: Data, seed: int) -> TrainBehaviorEmbedding | None:
        """The same stage that the generators are conditioned with; numbers need none."""
        return TrainBehaviorEmbedding(self.embedding, data.files) if data.domain.condition == "prompt" else None

    def generate(self, trained: PromptEmbedding | None, data: Data, query: Query, seed: int) -> Start:
        """The nearest training prompt's policy for each prompt; of equally near ones the first in the store's order."""
        import torch

        if trained is None:
            known = data.trained()
            task = list(known)[nearest(list(known.values()), query.parameter, ranges_of(data))]
            with data.open_policies() as store:
                return Start(store.layout, torch.from_numpy(policies_of(store, task, self.checkpoints)))
        return self._nearest_prompts(trained, data, query.shown)

    def _nearest_prompts(self, trained: PromptEmbedding, data: Data, prompts: Prompts) -> Start:
        import torch

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
class Greatest(WeightMethod):
    """The policy of the training task with the greatest numbers, on the asked side of 0.

    Where the numbers are target speeds it is the fastest expert in the direction that is asked for. It is told no more
    than that, so what it reaches says how much of a table a method can owe to what it is told.
    """

    label: ClassVar[str] = "greatest"
    knows: ClassVar[str] = "the sign of the {told}; every stored training {told}, and the policies of the greatest"
    conditions: ClassVar[frozenset[Told]] = frozenset({"parameter"})
    needs: ClassVar[str] = "it compares the numbers that tell tasks"

    checkpoints: Checkpoints = setting("last", "the last stored checkpoint of that task, or all of them in turn")

    def generate(self, trained: Any, data: Data, query: Query, seed: int) -> Start:
        """Its policies; of tasks with equal first numbers that with the greatest second one."""
        import torch

        known, sign = data.trained(), math.copysign(1.0, data.domain.parameter(query.task)[0])
        same = {task: numbers for task, numbers in known.items() if numbers[0] * sign > 0} or known
        greatest = max(same, key=lambda task: tuple(map(abs, same[task])))
        with data.open_policies() as store:
            policies = policies_of(store, greatest, self.checkpoints)
            return Start(store.layout, torch.from_numpy(policies))


@component
class AgreementRetrieval(WeightMethod):
    """Of all training policies of all tasks, the one that acts most like the prompt in the prompt's own 20 states.

    Most alike by the mean squared difference between tanh(mean) and the recorded action, clipped to [-1, 1]. Only those
    states count that the prompt holds with their action: s_0, s_3, ... with a_0, a_3, ... Nothing is trained.
    """

    label: ClassVar[str] = "agreement-retrieval"
    knows: ClassVar[str] = "the prompt; at test time every stored training policy"
    conditions: ClassVar[frozenset[Told]] = frozenset({"prompt"})
    needs: ClassVar[str] = "it compares policies with the states and actions of a prompt"

    block: int = setting(16, "Policies compared at a time; bounds the memory.", ge=1)

    def generate(self, trained: Any, data: Data, query: Query, seed: int) -> Start:
        """The best-agreeing stored policy of each prompt; of equally good ones the first in the store's order."""
        import torch

        prompts = query.shown
        with data.open_policies() as store:
            best = np.full(len(prompts), np.inf)
            params = np.zeros((len(prompts), store.layout.size), dtype=np.float32)
            for block in training_blocks(store, store.training_tasks(), self.block):
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
    """The mean of the task's training policies; of those of all tasks where it has none (an unseen task)."""

    label: ClassVar[str] = "mean-policy"
    knows: ClassVar[str] = "the task's name and the training policies of that task, or of all for an unseen one"

    block: int = setting(64, "Policies read at a time; bounds the memory.", ge=1)

    def generate(self, trained: Any, data: Data, query: Query, seed: int) -> Start:
        """One and the same policy for every prompt; one for a task told by numbers."""
        import torch

        with data.open_policies() as store:
            known = store.training_tasks()
            tasks = [query.task] if query.task in known else known
            total, count = np.zeros(store.layout.size), 0
            for block in training_blocks(store, tasks, self.block):
                total += block.sum(axis=0, dtype=np.float64)
                count += len(block)
            mean = torch.from_numpy((total / count).astype(np.float32))
            return Start(store.layout, mean.repeat(max(query.n, 1), 1))


@component
class Interpolation(Method):
    """Between the two neighbouring training tasks: their policies mixed in proportion, without a generator."""

    label: ClassVar[str] = "interpolation"
    knows: ClassVar[str] = "the {told}; at test time every stored training policy"
    conditions: ClassVar[frozenset[Told]] = frozenset({"parameter"})
    needs: ClassVar[str] = "numbers tell between which training tasks a task lies; a prompt lies between no two others"

    autoencoder: Autoencoder = setting(LinearAutoencoder(), "E and D (eq. 1)")
    space: Literal["latents", "weights"] = setting("latents", "what is mixed: latents, or the weights themselves")
    checkpoints: Checkpoints = setting("last", "the last stored checkpoint of both, or all of them pair by pair")

    def training(self, data: Data, seed: int) -> Stage | None:
        """The same stage that the generators decode with; weights are mixed without any."""
        return None if self.space == "weights" else TrainAutoencoder.of(self.autoencoder, data)

    def deploy(self, trained: PolicyAutoencoder | None, data: Data, query: Query, seed: int) -> Controllers:
        """The mixed policies; with several checkpoints those of equal age from the last one back."""
        import torch

        from hyprepro.policies.controllers import PolicyControllers

        known = data.trained()
        low, high, share = place(list(known.values()), query.parameter, ranges_of(data))
        with data.open_policies() as store, torch.no_grad():
            # Of a training task both are the same.
            pair = [(task, rows_of(store, task, self.checkpoints)) for task in (list(known)[low], list(known)[high])]
            count = min(len(rows) for _, rows in pair)
            pair = [(task, rows[-count:]) for task, rows in pair]
            if trained is None:
                one, other = (torch.from_numpy(store.read(task, rows)) for task, rows in pair)
                return PolicyControllers(store.layout, torch.lerp(one, other, share))
            one, other = (trained.encode_stored(store, task, rows) for task, rows in pair)
            return PolicyControllers(store.layout, trained.decode(torch.lerp(one, other, share)))


def rows_of(store: PolicyStore, task: str, checkpoints: Checkpoints = "all") -> NDArray[np.int64]:
    """Rows of a task's policies, of whatever split, by their training step: all, or the last alone."""
    order = store.meta(task)["step"].argsort(kind="stable")
    return order if checkpoints == "all" else order[-1:]


def policies_of(store: PolicyStore, task: str, checkpoints: Checkpoints = "all") -> NDArray[np.float32]:
    """These policies `[n, P]`."""
    return store.read(task, rows_of(store, task, checkpoints))


def source_rows(store: PolicyStore, query: Query, checkpoints: Checkpoints) -> tuple[str, NDArray[np.int64]]:
    """The task and the rows of the policies behind what is asked `[n]`.

    Args:
        store: The policies.
        query: Prompts, whose own policies are meant in their order, or a task told by numbers.
        checkpoints: Which policies of such a task.

    Raises:
        UserError: A prompt's policy is not in the store, or the task is not.
    """
    if query.prompts is None:
        return query.task, rows_of(store, query.task, checkpoints)
    prompts = query.prompts
    missing = prompts.task not in store.tasks or bool((prompts.policy_rows < 0).any())
    if missing:
        raise UserError(
            f"The policies behind some {prompts.split} prompts of {prompts.task} are not stored.",
            where=store.where,
            fix="leave out the methods that use the prompts' own policies (Expert, AutoencoderCeiling)",
        )
    return prompts.task, prompts.policy_rows


def training_prompts(data: StoreFiles, store: PolicyStore) -> list[Prompts]:
    """The training prompts of training policies, task by task in the store's order."""
    from hyprepro.stores.prompts import read_prompts

    found = []
    with data.open_trajectories() as trajectories:
        for task in store.training_tasks():
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
