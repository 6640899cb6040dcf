"""The pair of stores that a recipe reads: found by path, checked against each other and the installed simulator."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, TypeVar

from hyprepro.component import Component, component, setting
from hyprepro.domains.base import SUCCESS, Condition, Data, Domain, Metric, Query
from hyprepro.domains.metaworld.tasks import HORIZON, SEEN_TASKS, STRICT, VALIDATION, Goal, fresh_goal
from hyprepro.engine.provenance import identity_gaps, versions
from hyprepro.engine.stage import StoreFile
from hyprepro.errors import UserError, closest_match
from hyprepro.policies.layout import METAWORLD_LAYOUT, PolicyLayout
from hyprepro.stores.files import StoreFiles
from hyprepro.stores.policy_store import PolicyStore
from hyprepro.stores.trajectory_store import TrajectoryStore

Store = TypeVar("Store", PolicyStore, TrajectoryStore)

ROOT = Path(__file__).resolve().parents[3]
"""The repository's root (or the folder that the package is installed in)."""


@component
class MetaWorld(Domain):
    """Meta-World: eighteen manipulation tasks; a prompt tells which, and success is what counts."""

    label: ClassVar[str] = "metaworld"
    layout: ClassVar[PolicyLayout] = METAWORLD_LAYOUT
    horizon: ClassVar[int] = HORIZON
    metric: ClassVar[Metric] = SUCCESS
    condition: ClassVar[Condition] = "prompt"

    def parameter(self, task: str) -> tuple[float, ...]:
        """None: a task is told by its prompts."""
        return ()

    def task_name(self, parameter: tuple[float, ...]) -> str:
        """Refused (`UserError`): no numbers name a task."""
        raise UserError("A task of Meta-World has a name and no number.", fix=f"choose of {', '.join(SEEN_TASKS)}")

    def query(self, data: StoreFiles, task: str, count: int, split: str) -> Query:
        """The first `count` prompts of the task."""
        from hyprepro.stores.prompts import read_prompts

        with data.open_trajectories() as store:
            prompts = read_prompts(store, task, split, limit=count)
        if len(prompts) < count:
            raise UserError(
                f"The store has {len(prompts)} {split} prompts of {task}, and {count} are asked for.",
                where=data.trajectories.path,
                fix=f"-b Recipe.prompts_per_task={len(prompts)}",
            )
        return Query(task, (), prompts, count)

    def start(self, use: str, base_seed: int, task: str, index: int) -> Goal:
        """A fresh goal of the use's range."""
        return fresh_goal(STRICT if use == "test" else VALIDATION, base_seed, task, index)


@component
class DataSource(Component):
    """Where policies and prompts come from.

    Paths are tried as they are (from the working directory), then in the repository's root, then in its `stores/`.
    """

    slot: ClassVar[str] = "data"
    unchecked: ClassVar[str] = "to use it all the same, bind the recipe's data to it as @ImportedData()"
    """What to do with stores of an unknown simulator."""

    policies: str = setting("stores/metaworld.policies.h5", "path of the policy store")
    trajectories: str = setting("stores/metaworld.trajectories.h5", "path of the trajectory store")
    withheld: tuple[str, ...] = setting(
        (), "tasks that nothing is trained on although the store could: unseen tasks to choose settings by"
    )

    @property
    def policies_path(self) -> Path:
        """The policy store's path (`UserError` if there is no such file)."""
        return self.locate(self.policies, "policies")

    @property
    def trajectories_path(self) -> Path:
        """The trajectory store's path (`UserError` if there is no such file)."""
        return self.locate(self.trajectories, "trajectories")

    def open_policies(self) -> PolicyStore:
        """The policy store, checked for Meta-World's layout and for the installed simulator's version."""
        store = PolicyStore.open(self.policies_path, METAWORLD_LAYOUT)
        return self._accepted(store)

    def open_trajectories(self) -> TrajectoryStore:
        """The trajectory store, checked for the installed simulator's version."""
        return self._accepted(TrajectoryStore.open(self.trajectories_path))

    def files(self) -> Data:
        """Both stores as plain data for stages.

        Raises:
            UserError: As for `digests`; a withheld task that the store does not have.
        """
        digests = self.digests
        with self.open_policies() as store:
            for task in self.withheld:
                if task not in store.tasks:
                    raise UserError(
                        f"The policy store has no task {task!r} to withhold.",
                        where=f"{self.kind}.withheld",
                        closest=closest_match(task, store.tasks),
                        fix=f"hyprepro store info {self.policies_path}",
                    )
        return Data(
            StoreFile(str(self.policies_path), digests["policies"], tuple(sorted(self.withheld))),
            StoreFile(str(self.trajectories_path), digests["trajectories"]),
            domain=self.domain,
        )

    @property
    def domain(self) -> Domain:
        """What the stores are of."""
        return MetaWorld()

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

    @property
    def kind(self) -> str:
        """Its name in bindings: a binding of another kind's fields would change nothing."""
        return type(self).__name__

    def locate(self, path: str, field: str) -> Path:
        """The file that one of the fields means (`UserError` as for the function `locate`)."""
        return locate(path, f"{self.kind}.{field}")

    def _accepted(self, store: Store) -> Store:
        return _same_simulator(store, self.unchecked)


@component
class ImportedData(DataSource):
    """Stores of policies that another simulator trained, or an unknown one, as imported stores are.

    Everything is then evaluated in the installed simulator, where those policies may fail: a result says by this
    component that it rests on them, and the experts' row tells how much of their success is left.
    """

    def _accepted(self, store: Store) -> Store:
        return store


def locate(path: str, field: str) -> Path:
    """The file that a binding means.

    Args:
        path: The bound path.
        field: What was bound: `DataSource.policies`.

    Raises:
        UserError: It is in none of the places, with the closest file name.
    """
    given = Path(path).expanduser()
    places = [given] if given.is_absolute() else [Path.cwd() / given, ROOT / given, ROOT / "stores" / given]
    for place in places:
        if place.is_file():
            return place
    near = [p.name for place in places if place.parent.is_dir() for p in place.parent.glob("*.h5")]
    raise UserError(
        f"There is no store at {path!r}.",
        where=f"{field}; looked for " + ", ".join(str(place) for place in places),
        closest=closest_match(given.name, near),
        fix=f"bind {field} to a store; hyprepro collect makes one",
    )


def _same_simulator(store: Store, unchecked: str) -> Store:
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
    return store
