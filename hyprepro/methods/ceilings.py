"""Ceilings: the policies behind what is asked, as stored and after E and D, and the parent that they grew from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from hyprepro.component import component, setting
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.autoencoder import Autoencoder, LinearAutoencoder, TrainAutoencoder
from hyprepro.methods.base import Method
from hyprepro.methods.retrieval import Checkpoints, policies_of, source_rows

if TYPE_CHECKING:
    from collections.abc import Collection

    from hyprepro.domains.base import Data, Query
    from hyprepro.gen_hyprl.autoencoder_net import PolicyAutoencoder
    from hyprepro.policies.controllers import Controllers
    from hyprepro.stores.policy_store import PolicyStore

_CHECKPOINTS = "of a task told by numbers: all stored checkpoints, or the last alone"


@component
class Expert(Method):
    """What a perfect generator would reach by copying. Nothing is trained.

    Of a prompt the policy that recorded it; of a task told by numbers the policies that were trained on it.
    """

    label: ClassVar[str] = "expert"
    knows: ClassVar[str] = "the stored policies behind the test {told}"
    learns: ClassVar[bool] = False

    checkpoints: Checkpoints = setting("all", _CHECKPOINTS)

    def deploy(self, trained: Any, data: Data, query: Query, seed: int) -> Controllers:
        """The stored policies (`UserError` if one is not stored)."""
        from hyprepro.policies.controllers import PolicyControllers

        with data.open_policies() as store:
            return PolicyControllers(store.layout, store.read(*source_rows(store, query, self.checkpoints)))


@component
class AutoencoderCeiling(Method):
    """D(E(X)) of the expert's policies X: what a generator that hits the true latents reaches.

    X are test policies, so E and D have not seen them; a generator can score higher by aiming at latents of training
    policies, which E and D know. Make-An-Agent's evaluation scores the same.
    """

    label: ClassVar[str] = "autoencoder"
    knows: ClassVar[str] = "the stored policies behind the test {told}"

    autoencoder: Autoencoder = setting(LinearAutoencoder(), "E and D (eq. 1)")
    checkpoints: Checkpoints = setting("all", _CHECKPOINTS)

    def training(self, data: Data, seed: int) -> TrainAutoencoder:
        """The same stage that the generators decode with."""
        return TrainAutoencoder.of(self.autoencoder, data)

    def deploy(self, trained: PolicyAutoencoder, data: Data, query: Query, seed: int) -> Controllers:
        """The reconstructed policies (`UserError` if a source policy is not stored)."""
        import torch

        from hyprepro.policies.controllers import PolicyControllers

        with data.open_policies() as store, torch.no_grad():
            latents = trained.encode_stored(store, *source_rows(store, query, self.checkpoints))
            return PolicyControllers(store.layout, trained.decode(latents))


@component
class Parent(Method):
    """The policy that the experts grew from; where it was told numbers, its input folded at the test task's.

    It was trained by reinforcement learning on all training tasks, in the environment.
    """

    label: ClassVar[str] = "parent"
    knows: ClassVar[str] = "the {told}; trained in the environment on all training tasks"
    learns: ClassVar[bool] = False
    store: ClassVar[Literal["parents", "randomised"]] = "parents"

    def require(self, data: Data) -> None:
        """The store must be bound."""
        super().require(data)
        data.open_parents(self.store).close()

    def deploy(self, trained: Any, data: Data, query: Query, seed: int) -> Controllers:
        """The task's stored policies; of prompts the last one for each (`UserError` if their store is not bound)."""
        from hyprepro.policies.controllers import PolicyControllers

        with data.open_parents(self.store) as store:
            params = policies_of(store, query.task)
            return PolicyControllers(store.layout, params if query.prompts is None else params[[-1] * query.n])


@component
class DomainRandomisation(Parent):
    """One policy for all tasks, trained by reinforcement learning on all training tasks without being told which.

    Its store has the policy once a task, of split "train" where it has practised that task.
    """

    label: ClassVar[str] = "domain-randomisation"
    knows: ClassVar[str] = "nothing of the task; trained in the environment on all training tasks"
    store: ClassVar[Literal["parents", "randomised"]] = "randomised"
    practises: ClassVar[str] = "the training tasks, and no others"
    may_know_more: ClassVar[bool] = False

    def require(self, data: Data) -> None:
        """The store must hold one policy for all tasks, which has practised what the row says."""
        super().require(data)
        with data.open_parents(self.store) as store:
            _refuse_others(self, data, _not_one(store) or self._unlike(store.training_tasks(), data))

    def _unlike(self, found: Collection[str], data: Data) -> str:
        """How the tasks that were practised differ from those that the row says; empty: not at all."""
        said = self.practised(data)
        more = [] if self.may_know_more else [task for task in found if task not in said]
        if more:
            return f"that of its store has practised {more[0]} too"
        fewer = [task for task in said if task not in found]
        return f"that of its store has not practised {fewer[0]}" if fewer else ""

    def practised(self, data: Data) -> Collection[str]:
        """The tasks that the row says its policy has practised."""
        return data.trained()


@component
class OneForAll(DomainRandomisation):
    """`DomainRandomisation` where the stores are of all tasks, so that its one policy has practised the tested ones.

    It has seen more than any row beside it and is told less: where it is as good as they are, the table tests nothing.
    """

    label: ClassVar[str] = "one-for-all"
    knows: ClassVar[str] = "nothing of the task; trained in the environment on all of them, those tested too"
    practises: ClassVar[str] = "all tasks of the stores, those tested too"
    may_know_more: ClassVar[bool] = True

    def practised(self, data: Data) -> Collection[str]:
        """All tasks that there are policies of."""
        with data.open_policies() as store:
            return store.tasks


def _not_one(store: PolicyStore) -> str:
    """What is wrong with a store whose policies differ from task to task; empty: nothing."""
    import numpy as np

    first, *others = store.tasks
    known = policies_of(store, first)
    other = next((task for task in others if not np.array_equal(policies_of(store, task), known)), "")
    return f"its store has another one for {other} than for {first}" if other else ""


def _refuse_others(method: DomainRandomisation, data: Data, fault: str) -> None:
    """Refuse a store of another kind than a row says (`UserError`)."""
    if fault:
        place = f"{type(data.domain).__name__}.{method.store}"
        raise UserError(
            f"{method.name} is one policy for all tasks that has practised {method.practises}; {fault}.",
            where=f"{place}, {getattr(data.domain, method.store)}",
            fix=f"bind {place} to a store of such a policy, or leave the row out of the recipe's methods",
        )
