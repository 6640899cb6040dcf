"""Two zoos of tiny stores, and the bindings by which the shipped recipes run on them."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import TinyStores, build_tiny_stores

TASKS = ["SEEN=('door-open',)", "UNSEEN=('reach',)"]


def two_kinds(folder: Path) -> TinyStores:
    """Stores with test prompts of both kinds: five a task of the two training runs, and five of a third run."""
    folder.mkdir(parents=True, exist_ok=True)
    return build_tiny_stores(folder, seed=3, unseen=2)


def bound(independent: TinyStores, parent: TinyStores | None = None) -> list[str]:
    """Bindings of the zoos' stores."""
    found = [] if parent is None else _paths("MetaWorld", parent)
    return found + _paths("independent/MetaWorld", independent)


def flags(bindings: list[str]) -> list[str]:
    """The same on the command line."""
    return [word for binding in bindings for word in ("-b", binding)]


def _paths(target: str, stores: TinyStores) -> list[str]:
    return [f"{target}.policies='{stores.policies}'", f"{target}.trajectories='{stores.trajectories}'"]
