"""Which training runs stand behind a store's policies, and which of them nothing is trained on.

A run is told by its seed. One that gives a training policy is a *training run*, its further policies (split "test") and
their prompts included; from any other, an *unseen run*, nothing is trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hyprepro.errors import UserError
from hyprepro.stores.files import Runs
from hyprepro.stores.policy_store import PolicyStore
from hyprepro.stores.trajectory_store import TrajectoryStore


def rows_of(store: PolicyStore, task: str, runs: Runs) -> NDArray[np.int64]:
    """Rows of a task's policies in split "test" that come from such runs `[k]`, ascending.

    A policy whose run is unknown (seed -1) counts as one of an unseen run. One whose run has training policies of which
    the store shows none, since only some runs are trained on, counts as neither.
    """
    meta = store.meta(task)
    of_training = np.isin(meta["seed"], store.training_seeds(task, left_out=runs == "unseen"))
    return np.flatnonzero((meta["split"] == "test") & (of_training == (runs == "training")))


def kept_rows(store: PolicyStore, runs: int | None, policies: int | None) -> dict[str, tuple[int, ...]]:
    """The training policies of each task when only some are trained on, ascending.

    Args:
        store: The policies.
        runs: Of each task the first so many training runs, by their seeds; None: all of them.
        policies: Of each task so many, as many of each of these runs, its last ones; None: all of them.

    Raises:
        UserError: A task has fewer runs, a run has fewer policies, they cannot be spread evenly, or the store does not
            say of which run a policy is.
    """
    tasks = [task for task in store.tasks if store.count(task, "train")]
    return {task: tuple(_kept(store, task, runs, policies).tolist()) for task in tasks}


def _kept(store: PolicyStore, task: str, runs: int | None, policies: int | None) -> NDArray[np.int64]:
    rows = store.rows(task, "train")
    seeds, known = store.meta(task)["seed"][rows], store.training_seeds(task)
    count = runs or len(known)
    if (seeds < 0).any():
        raise UserError(
            f"The store does not say which training run a policy of {task} comes from.",
            where=store.where,
            fix="leave out Zoo.runs and Zoo.policies, or name a store that knows its runs' seeds",
        )
    if len(known) < count:
        raise UserError(
            f"{task} has {len(known)} training runs, and {count} are asked for.",
            where=f"Zoo.runs = {count}, {store.where}",
            fix=f"Zoo.runs = {len(known)}, or collect more: Selection.train_seeds",
        )
    if policies is None:
        return rows[np.isin(seeds, known[:count])]
    each, more = divmod(policies, count)
    if more or not each:
        raise UserError(
            f"{policies} training policies of {task} cannot be spread evenly over {count} runs.",
            where=f"Zoo.policies = {policies}, {store.where}",
            fix=f"Zoo.policies = {max(each, 1) * count}, or another multiple of the runs",
        )
    found = [rows[seeds == seed][-each:] for seed in known[:count]]
    fewest = min(map(len, found))
    if fewest < each:
        raise UserError(
            f"A training run of {task} has {fewest} policies, and {each} of each are asked for.",
            where=f"Zoo.policies = {policies}, {store.where}",
            fix=f"Zoo.policies = {fewest * count}, or collect more: Selection.train_policies",
        )
    return np.sort(np.concatenate(found))


_SOURCES: dict[Runs, str] = {"unseen": "runs that nothing is trained on", "training": "training runs"}


def prompt_kinds(policies: PolicyStore, trajectories: TrajectoryStore) -> list[Runs]:
    """From which kinds of runs test prompts come, of any task."""
    tasks = [task for task in trajectories.tasks if trajectories.count(task, "test")]
    return [runs for runs in _SOURCES if any(len(_from(policies, trajectories, task, runs)) for task in tasks)]


def _from(policies: PolicyStore, trajectories: TrajectoryStore, task: str, runs: Runs) -> NDArray[np.int64]:
    """Ids of a task's test episodes from such runs `[k]`."""
    ids = trajectories.ids(task, "test")
    if task not in policies.tasks:
        return ids[:0] if runs == "training" else ids
    rows, meta = trajectories.table(task)["policy_row"][ids], policies.meta(task)
    if runs == "training":
        return ids[np.isin(rows, rows_of(policies, task, runs))]
    trained = np.isin(meta["seed"], policies.training_seeds(task, left_out=True))
    return ids[~np.isin(rows, np.flatnonzero((meta["split"] == "test") & trained))]


def prompt_ids(
    policies: PolicyStore, trajectories: TrajectoryStore, task: str, split: str, runs: Runs | None, zoo: str = ""
) -> NDArray[np.int64]:
    """Ids of a task's episodes of a split `[k]`, ascending; of split "test" those that come from such runs.

    An episode whose policy is not stored counts as one of an unseen run.

    Args:
        policies: Tells which policy is of which run.
        trajectories: The episodes.
        task: The task.
        split: The split.
        runs: From which runs; None: the only ones that there are.
        zoo: The zoo whose stores they are, for messages.

    Raises:
        UserError: There are none from such runs, or from both kinds and none was named.
    """
    ids = trajectories.ids(task, split)
    if split != "test" or not len(ids):
        return ids
    kinds: tuple[Runs, ...] = ("training", "unseen")
    found = {kind: some for kind in kinds if len(some := _from(policies, trajectories, task, kind))}
    where, setting, chosen = trajectories.where, "Recipe.prompt_runs", "'{}'"
    if zoo:
        where, setting, chosen = f"the zoo {zoo}, {where}", f"{zoo}/Zoo.prompt_runs", "('{}',)"
    counts = " and ".join(f"{len(some)} from {_SOURCES[kind]}" for kind, some in found.items())
    if runs is None and len(found) > 1:
        raise UserError(
            f"The store has two kinds of test prompts of {task}: {counts}.",
            where=where,
            fix=f'-b "{setting}={chosen.format("unseen")}" (or {chosen.format("training")})',
        )
    if runs is not None and runs not in found:
        bind = [f'-b "{setting}={chosen.format(other)}"' for other in found]
        collect = "Selection." + ("prompt_policies" if runs == "training" else "test_seeds")
        raise UserError(
            f"The store has no test prompts of {task} from {_SOURCES[runs]}"
            + (f"; its {counts.replace(' from', ' are from', 1)}." if found else "."),
            where=f"{setting} = {chosen.format(runs)}, {where}",
            fix=", or ".join([*bind, f"collect a store that has some: {collect}"]),
        )
    return found[runs] if runs is not None else next(iter(found.values()), ids[:0])


def training_seeds(policies: Iterable[tuple[int, str]]) -> list[int]:
    """The seeds of training runs, ascending, from each policy's seed and split."""
    return sorted({seed for seed, split in policies if split == "train" and seed >= 0})


def untested(tasks: Mapping[str, Sequence[tuple[int, str]]]) -> list[str]:
    """The trained tasks without a policy of an unseen run, where other trained tasks have one, or no task has one.

    A store whose trained tasks and tested tasks are different ones lacks nothing.

    Args:
        tasks: The seed and the split of each policy of each task.
    """
    unseen = {task for task, policies in tasks.items() if _has_unseen(policies)}
    trained = [task for task, policies in tasks.items() if training_seeds(policies)]
    lacking = [task for task in trained if task not in unseen]
    return lacking if len(lacking) < len(trained) or not unseen else []


def _has_unseen(policies: Sequence[tuple[int, str]]) -> bool:
    trained = training_seeds(policies)
    return any(split == "test" and seed not in trained for seed, split in policies)
