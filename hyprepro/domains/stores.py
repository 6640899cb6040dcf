"""The stores of a domain: found by path, checked against each other, the domain and the installed simulator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from hyprepro.component import Component, setting
from hyprepro.engine.provenance import identity_gaps, versions
from hyprepro.errors import UserError, closest_match

if TYPE_CHECKING:
    from hyprepro.policies.layout import PolicyLayout
    from hyprepro.stores.policy_store import PolicyStore
    from hyprepro.stores.trajectory_store import TrajectoryStore

Store = TypeVar("Store", "PolicyStore", "TrajectoryStore")

ROOT = Path(__file__).resolve().parents[2]
"""The repository's root (or the folder that the package is installed in)."""


def locate(path: str, field: str) -> Path:
    """The file that a binding means.

    Args:
        path: The bound path.
        field: What was bound: `MetaWorld.policies`.

    Raises:
        UserError: It is in none of the places, with the closest file name.
    """
    given = Path(path).expanduser()
    places = [given] if given.is_absolute() else [Path.cwd() / given, ROOT / given, ROOT / "stores" / given]
    for place in places:
        if place.is_file():
            return place
    fix = fetched_by(given.name)
    near = [p.name for place in places if place.parent.is_dir() for p in place.parent.glob("*.h5")]
    raise UserError(
        f"There is no store at {path!r}.",
        where=f"{field}; looked for " + ", ".join(str(place) for place in places),
        closest=closest_match(given.name, near),
        fix=fix or f"bind {field} to a store; hyprepro collect makes one",
    )


def fetched_by(name: str) -> str:
    """What brings a bundled store to where it is looked for; empty for other files."""
    from hyprepro.stores.bundled import bundled

    stores = [store for store, files in bundled().stores.items() if name in files]
    return f"hyprepro store fetch {stores[0]} brings it; in a checkout: git checkout stores" if stores else ""


def same_simulator(store: PolicyStore | TrajectoryStore, unchecked: str) -> None:
    """Refuse, and close, a store that another simulator made (`UserError`).

    Args:
        store: The open store.
        unchecked: What to do with one of an unknown simulator.
    """
    gaps = identity_gaps(store.versions, versions())
    if gaps:
        store.close()
        text = "; ".join(f"{name} {old} in the store, {new} installed" for name, old, new in gaps)
        pins = " ".join(f"{name}=={old}" for name, old, _ in gaps if old != "unknown")
        raise UserError(
            f"The {store.kind} store was made with another simulator: {text}.",
            where=store.where,
            fix=f"pip install {pins}" if pins else unchecked,
        )


class Stores(Component, ABC):
    """Where a domain's policies and episodes are.

    Paths are tried as they are (from the working directory), then in the repository's root, then in its `stores/`.

    Subclasses declare:
        title: The domain's name in texts.
        layout: The layout of its policies; those of a store may have other activations.
    """

    title: ClassVar[str] = ""
    layout: ClassVar[PolicyLayout]

    policies: str = setting(..., "path of the policy store")
    trajectories: str = setting(..., "path of the trajectory store")
    parents: str = setting("", "path of the store of the policies that the experts grew from; empty: none")
    randomised: str = setting(
        "", "path of the store of one policy for all tasks, trained on all without being told which; empty: none"
    )
    checked: bool = setting(
        True,
        "refuse stores that another simulator made, or an unknown one, as imported stores are; False: take them, and "
        "let the experts' row tell how much of their success is left in the installed one",
    )

    @abstractmethod
    def parameter(self, task: str) -> tuple[float, ...]:
        """The numbers that tell a task from the others; empty where the condition is a prompt.

        Raises:
            UserError: The domain has no such task.
        """

    @property
    def kind(self) -> str:
        """Its name in bindings: a binding of another kind's fields would change nothing."""
        return type(self).__name__

    @property
    def policies_path(self) -> Path:
        """The policy store's path (`UserError` if there is no such file)."""
        return locate(self.policies, f"{self.kind}.policies")

    @property
    def trajectories_path(self) -> Path:
        """The trajectory store's path (`UserError` if there is no such file)."""
        return locate(self.trajectories, f"{self.kind}.trajectories")

    def open_policies(self, path: Path | None = None) -> PolicyStore:
        """The policy store, or another one at `path`, checked for the domain's layout and tasks and the simulator."""
        from hyprepro.stores.policy_store import PolicyStore

        store = PolicyStore.open(path or self.policies_path, self.required_layout)
        try:
            self.accept(store.layout)
            for task in store.tasks:
                self.parameter(task)
        except UserError as error:
            store.close()
            raise UserError(error.what, where=store.where, fix=f"bind a store of {self.title}") from None
        return self._accepted(store)

    def open_trajectories(self) -> TrajectoryStore:
        """The trajectory store, checked for the domain's sizes and the installed simulator's version."""
        from hyprepro.stores.trajectory_store import TrajectoryStore

        store = TrajectoryStore.open(self.trajectories_path)
        found, wanted = (store.observation_size, store.action_size), self.sizes
        if found != wanted:
            store.close()
            raise UserError(
                f"The store holds episodes of {found[0]} observations and {found[1]} actions; {self.title} has "
                f"{wanted[0]} and {wanted[1]}.",
                where=store.where,
                fix=f"bind {self.kind}.trajectories to a store of {self.title}",
            )
        return self._accepted(store)

    @property
    def required_layout(self) -> PolicyLayout | None:
        """The layout whose layers a policy store must have; None: any that `accept` takes."""
        return self.layout

    def accept(self, layout: PolicyLayout) -> None:
        """Refuse a store's policies that could not act here (`UserError`)."""
        sizes = layout.observation_size, layout.action_size
        if sizes != self.sizes or layout.bounds != self.layout.bounds:
            raise UserError(
                f"The store holds policies of another layout: {layout.shape}, actions within {_bounds(layout)}; "
                f"{self.title} has {self.sizes[0]} observations and {self.sizes[1]} actions within "
                f"{_bounds(self.layout)}.",
                fix=f"bind a store of {self.title}'s policies",
            )

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of an observation and of an action."""
        return self.layout.observation_size, self.layout.action_size

    @property
    def digests(self) -> dict[str, str]:
        """The recorded content digests: `policies` and `trajectories`.

        Raises:
            UserError: A store is invalid, or the trajectories were recorded with policies of another store.
        """
        with self.open_policies() as policies, self.open_trajectories() as trajectories:
            wanted = trajectories.policies_digest
            if wanted and wanted != policies.digest:
                raise UserError(
                    "The trajectories were recorded with the policies of another store; policy rows would be wrong.",
                    where=f"{policies.where}: {policies.digest[:16]}\n{trajectories.where}: made with {wanted[:16]}",
                    fix=f"bind {self.kind}.policies and {self.kind}.trajectories to stores of one collection",
                )
            return {"policies": policies.digest, "trajectories": trajectories.digest}

    def _accepted(self, store: Store) -> Store:
        if self.checked:
            same_simulator(store, f"to use it all the same: {self.kind}.checked = False")
        return store


def _bounds(layout: PolicyLayout) -> str:
    return ", ".join(f"[{low:g}, {high:g}]" for low, high in dict.fromkeys(layout.bounds)) or "[-1, 1]"
