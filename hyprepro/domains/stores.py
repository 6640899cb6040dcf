"""Finding the store that a binding means, and whether the installed simulator is the one that it was made with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hyprepro.engine.provenance import identity_gaps, versions
from hyprepro.errors import UserError, closest_match

if TYPE_CHECKING:
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
    near = [p.name for place in places if place.parent.is_dir() for p in place.parent.glob("*.h5")]
    raise UserError(
        f"There is no store at {path!r}.",
        where=f"{field}; looked for " + ", ".join(str(place) for place in places),
        closest=closest_match(given.name, near),
        fix=f"bind {field} to a store; hyprepro collect makes one",
    )


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
