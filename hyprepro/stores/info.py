"""What a store contains, as a plain dictionary for `hyprepro store info`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyprepro.errors import UserError
from hyprepro.stores import hdf5
from hyprepro.stores.policy_store import PolicyStore
from hyprepro.stores.trajectory_store import TrajectoryStore

BINS = 20


def open_any(path: str | Path) -> PolicyStore | TrajectoryStore:
    """Open a store of either kind.

    Raises:
        UserError: It is missing, damaged, or of neither kind.
    """
    path = Path(path)
    kind = PolicyStore.kind
    if path.is_file():
        with hdf5.open_unlocked(path) as file:
            kind = hdf5.read_text(file, "kind", str(path))
    if kind not in (PolicyStore.kind, TrajectoryStore.kind):
        raise UserError(f"Unknown kind of store: {kind[:80]!r}.", where=str(path), fix=hdf5.FOREIGN)
    return TrajectoryStore.open(path) if kind == TrajectoryStore.kind else PolicyStore.open(path)


def store_info(path: str | Path) -> dict[str, Any]:
    """Contents of a store, JSON-ready.

    Keys: path, kind, schema, digest, bytes, versions, route, tasks; a policy store adds `layout`, a trajectory store
    `policies_digest`. Each entry of `tasks` has `counts` per split. For policies it adds `seeds`, `steps` [lowest,
    highest], `success` {mean, min, p10, median, share_perfect}, `histogram` (policies by success rate in 20 equal
    bins), `episodes` [fewest, most], `return_mean`, `return_min`, `return_max` and `return_last` (of the last row); a
    rate over no episode, or of an environment without success, is unknown and left out, and `unrated` counts the
    former. For trajectories it adds `steps` [shortest, longest], `success_rate`, `success_step` [earliest, latest] and
    `policies` (how many).
    """
    with open_any(path) as store:
        common = {
            "path": str(path),
            "kind": store.kind,
            "schema": store.schema,
            "digest": store.digest,
            "bytes": store.size_on_disk,
            "versions": store.versions,
            "route": store.route,
        }
        if isinstance(store, PolicyStore):
            tasks = {task: _policies(store.meta(task)) for task in store.tasks}
            return {**common, "layout": store.layout.to_json(), "tasks": tasks}
        tasks = {task: _episodes(store.table(task)) for task in store.tasks}
        return {**common, "policies_digest": store.policies_digest, "tasks": tasks}


def _policies(meta: dict[str, NDArray[Any]]) -> dict[str, Any]:
    if not meta["success"].size:
        return {"counts": {}}
    known = meta["episodes"] > 0
    found: dict[str, Any] = {
        "counts": _counts(meta["split"]),
        "seeds": [int(seed) for seed in np.unique(meta["seed"]) if seed >= 0],
        "steps": _range(meta["step"][meta["step"] >= 0]),
        "episodes": _range(meta["episodes"]),
    }
    if not known.all():
        found["unrated"] = int((~known).sum())
    return {**found, **_rates(meta["success"][known].astype(np.float64)), **_returns(meta["return"][known])}


def _returns(values: NDArray[np.float32]) -> dict[str, Any]:
    if not values.size:
        return {"return_mean": None}
    found = {"mean": values.mean(), "min": values.min(), "max": values.max(), "last": values[-1]}
    return {f"return_{name}": round(float(value), 2) for name, value in found.items()}


def _rates(values: NDArray[np.float64]) -> dict[str, Any]:
    rates = values[~np.isnan(values)]
    if not rates.size:
        return {"success": None}
    success = {
        "mean": rates.mean(),
        "min": rates.min(),
        "p10": np.quantile(rates, 0.1),
        "median": np.median(rates),
        "share_perfect": (rates == 1.0).mean(),
    }
    bins = np.minimum(np.floor(rates * BINS + 1e-6), BINS - 1).astype(np.int64)  # 0.95 belongs to the bin it opens
    return {
        "success": {name: round(float(value), 4) for name, value in success.items()},
        "histogram": np.bincount(bins, minlength=BINS).tolist(),
    }


def _episodes(table: dict[str, NDArray[Any]]) -> dict[str, Any]:
    if not table["id"].size:
        return {"counts": {}}
    won = table["success_step"][table["success_step"] >= 0]
    return {
        "counts": _counts(table["split"]),
        "steps": _range(table["total_steps"]),
        "success_rate": round(float(won.size / table["id"].size), 4),
        "success_step": _range(won),
        "policies": int(np.unique(table["policy_row"][table["policy_row"] >= 0]).size),
    }


def _counts(split: NDArray[Any]) -> dict[str, int]:
    return {name: int((split == name).sum()) for name in hdf5.SPLITS if (split == name).any()}


def _range(values: NDArray[Any]) -> list[int]:
    return [int(values.min()), int(values.max())] if values.size else []
