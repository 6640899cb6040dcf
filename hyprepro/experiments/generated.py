"""Policies that a method wrote, in a user's hands: they act, are run, and are handed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyprepro.domains.base import Domain, Start
from hyprepro.domains.catalogue import domain_of
from hyprepro.domains.episodes import Episode, run_episodes
from hyprepro.errors import UserError
from hyprepro.policies.controllers import Controllers, PolicyControllers, Session
from hyprepro.stores.exchange.foreign import refuse_existing
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter

if TYPE_CHECKING:
    import stable_baselines3

OWN_TASK = "demonstration"
"""The task's name in a store where nobody said which task a demonstration is of."""


def as_policies(controllers: Controllers, method: str) -> PolicyControllers:
    """What a method deployed, if it is policies of one layout (`UserError` if not)."""
    if not isinstance(controllers, PolicyControllers):
        raise UserError(
            f"{method} does not write policies.", where=f"method {method}", fix="Choose a method that writes weights."
        )
    return controllers


@dataclass(frozen=True)
class Evaluation:
    """What came of running policies.

    Attributes:
        task: The task.
        metric: "success_rate" or "return".
        values: `[n, starts]`, a row a policy: 1 for success and 0 for failure, or returns.
    """

    task: str
    metric: str
    values: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Over all policies and starts: the success rate, or the mean return."""
        return float(self.values.mean())

    def __repr__(self) -> str:
        n, starts = self.values.shape
        runs = f"{_count(n, 'policy', 'policies')}, {_count(starts, 'start', 'starts')} each"
        return f"<{self.metric} {self.mean:.4g} on {self.task}: {runs}>"


class Policies:
    """`n` policies of one task.

    Args:
        domain: What the task is of.
        task: The task; empty if nobody said which.
        controllers: The policies.
        seed: The seed of what made them.
        made_from: For their store (JSON-ready).
    """

    def __init__(
        self, domain: Domain, task: str, controllers: PolicyControllers, seed: int, made_from: dict[str, object]
    ) -> None:
        self.domain, self.task, self.seed, self.made_from = domain, task, seed, made_from
        self.controllers = controllers
        self._sessions: dict[tuple[int, ...], Session] = {}

    @classmethod
    def load(cls, path: str | Path, task: str = "") -> Policies:
        """Those of a policy store's task (which may be left out where it has only one), as `save` wrote them.

        Raises:
            UserError: No such store or task, or policies that no known domain has.
        """
        with PolicyStore.open(path) as store:
            name = store.task(task)
            sizes = store.layout.observation_size, store.layout.action_size
            domain = domain_of([name], sizes) or domain_of([], sizes)
            if domain is None:
                raise UserError(
                    f"No domain has {sizes[0]} observations and {sizes[1]} actions.",
                    where=store.where,
                    fix="hyprepro list shows the domains",
                )
            params = store.read(name, store.rows(name))
            return cls(domain, name, PolicyControllers(store.layout, params), 0, dict(store.route))

    def __len__(self) -> int:
        return self.controllers.n

    def __repr__(self) -> str:
        return f"<{_count(len(self), 'policy', 'policies')} for {self.name}, {self.domain.title}>"

    @property
    def name(self) -> str:
        """Of their task, as it stands in a store."""
        return self.task or OWN_TASK

    @property
    def params(self) -> NDArray[np.float32]:
        """Flat parameters `[n, P]`; `controllers.layout` says what is where."""
        return self.controllers.params

    def act(self, observation: ArrayLike, policy: int = 0) -> NDArray[np.float32]:
        """The action `[A]` of one policy for an observation `[O]`, or of all `[n, A]` for one each `[n, O]`.

        Raises:
            UserError: Another size, or no such policy.
        """
        array = np.asarray(observation, dtype=np.float32)
        rows = (self._row(policy),) if array.ndim == 1 else tuple(range(len(self)))
        size = self.controllers.layout.observation_size
        if array.shape not in ((size,), (len(self), size)):
            raise UserError(
                f"An observation of the shape {list(array.shape)}; expected [{size}], or [{len(self)}, {size}].",
                fix="give one observation, as the environment returns it",
            )
        if rows not in self._sessions:
            self._sessions[rows] = self.controllers.session(len(rows))
            for slot, row in enumerate(rows):
                self._sessions[rows].assign(slot, row)
        actions = self._sessions[rows].act(np.atleast_2d(array)).copy()
        return actions[0] if array.ndim == 1 else actions

    def evaluate(self, starts: int | Sequence[Start] = 10, *, task: str = "") -> Evaluation:
        """Run every policy from the same fresh starts, which nothing was trained on.

        Args:
            starts: How many, or which.
            task: Another task than their own.

        Raises:
            UserError: Nobody said which task they are for, or it cannot be run.
        """
        name = task or self.task
        if not name or self.domain.environment(name) is None:
            raise UserError(
                f"{self.domain.title} has no task {name!r}." if name else "Nobody said which task these are for.",
                fix="evaluate(task=...), such as task='reach'; elsewhere act(observation) runs them",
            )
        chosen = starts
        if isinstance(chosen, int):
            if chosen < 1:
                raise UserError(f"{chosen} starts are asked for.", where=f"starts={chosen}", fix="ask for 1 or more")
            chosen = [self.domain.start("test", 0, name, number) for number in range(chosen)]
        episodes = [Episode(row, start) for row in range(len(self)) for start in chosen]
        outcomes = run_episodes(self.domain, name, self.controllers, episodes)
        values = [float((each.total or 0.0) if each.success is None else each.success) for each in outcomes]
        return Evaluation(name, self.domain.metric.name, np.reshape(values, (len(self), -1)))

    def to_sb3(self, policy: int = 0) -> stable_baselines3.SAC:
        """One policy as a `stable_baselines3.SAC` that acts as it does (`UserError` if SAC has no such layout)."""
        from hyprepro.stores.exchange.sb3 import sb3_model

        made: stable_baselines3.SAC = sb3_model(self.controllers.layout, self.params[self._row(policy)], self.task)
        return made

    def save(self, path: str | Path, measured: Evaluation | None = None) -> None:
        """Write them into a new policy store, with what an evaluation measured (`UserError` if the file exists)."""
        write_policies(path, [(self, measured)])

    def _row(self, policy: int) -> int:
        if not 0 <= policy < len(self):
            raise UserError(f"There is no policy {policy}.", fix=f"they count from 0 to {len(self) - 1}")
        return policy


def write_policies(path: str | Path, parts: Sequence[tuple[Policies, Evaluation | None]]) -> None:
    """Write policies of some tasks, all of one layout, with what was measured of each, into a new policy store.

    Raises:
        UserError: The file exists or cannot be written, or a weight is not finite; there is then no file.
    """
    refuse_existing(Path(path))
    first = parts[0][0]
    note = {"note": "returns are not recorded and stand as 0"} if first.domain.metric.ends_episode else {}
    route = {"route": "generated", **note, **first.made_from}
    with PolicyStoreWriter(path, first.controllers.layout, route, dtype="float32") as writer:
        for policies, measured in parts:
            episodes = 0 if measured is None else measured.values.shape[1]
            means = np.zeros(len(policies)) if measured is None or not episodes else measured.values.mean(axis=1)
            rates = {"success": means, "returns": 0.0}
            if not policies.domain.metric.ends_episode:
                rates = {"success": np.nan, "returns": means}
            writer.append(
                policies.name, policies.params, policies.seed, 0, rates["success"], episodes,
                rates["returns"], "test",
            )  # fmt: skip


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
