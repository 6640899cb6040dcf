"""Joining the stores of several collections, and taking a part of one: policies and their episodes together.

A run is told by its task and its seed. Of a run that stands in two stores nobody could say which policies are of one
training, so such stores are not joined. Parts of one collection (`MetaWorldCollection.runs`) give, joined, the very
stores that the whole would have given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyprepro.engine.provenance import identity_gaps
from hyprepro.engine.stage import write_atomically
from hyprepro.errors import UserError
from hyprepro.policies.layout import Precision
from hyprepro.stores.card import UNSOLVED, Given, joined_unsolved, part_card
from hyprepro.stores.files import PART
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter
from hyprepro.stores.runs import untested
from hyprepro.stores.trajectory_store import TrajectoryStore, TrajectoryStoreWriter

POLICIES, TRAJECTORIES = ".policies.h5", ".trajectories.h5"


class Pair(NamedTuple):
    """The two stores of a collection, open."""

    policies: PolicyStore
    trajectories: TrajectoryStore


class Source(NamedTuple):
    """Where a policy comes from: which pair, and which row of its task there."""

    pair: int
    row: int


@dataclass(frozen=True)
class Wanted:
    """Which part of a store.

    Attributes:
        tasks: These; empty: all.
        runs: Seeds of these; empty: all.
        train_runs: Of each task the first so many runs with training policies, and every run without; None: all.
        policies: Of each run its last so many training policies; None: all.
    """

    tasks: tuple[str, ...] = ()
    runs: tuple[int, ...] = ()
    train_runs: int | None = None
    policies: int | None = None

    def flags(self) -> list[str]:
        """The same on the command line."""
        named = [("--task", task) for task in self.tasks] + [("--run", run) for run in self.runs]
        named += [("--train-runs", self.train_runs)] if self.train_runs is not None else []
        named += [("--policies", self.policies)] if self.policies is not None else []
        return [str(word) for pair in named for word in pair]


def stem(path: Path) -> Path:
    """What both files of a pair begin with: NAME of NAME, NAME.policies.h5 or NAME.trajectories.h5."""
    for end in (POLICIES, TRAJECTORIES):
        if path.name.endswith(end):
            return path.with_name(path.name.removesuffix(end))
    return path


@contextmanager
def open_pair(path: Path) -> Iterator[Pair]:
    """The pair of a name, or of either file's.

    Raises:
        UserError: One of them is missing or invalid, or the episodes are of other policies.
    """
    name = stem(path)
    with (
        PolicyStore.open(name.with_name(name.name + POLICIES)) as policies,
        TrajectoryStore.open(name.with_name(name.name + TRAJECTORIES)) as trajectories,
    ):
        wanted = trajectories.policies_digest
        if wanted != policies.digest:
            raise UserError(
                "The trajectories were recorded with the policies of another store.",
                where=f"{policies.where}: {policies.digest[:16]}\n{trajectories.where}: made with {wanted[:16]}",
                fix="name both stores of one collection",
            )
        yield Pair(policies, trajectories)


def merge(paths: Sequence[Path], out: Path, partial: bool = False) -> list[Path]:
    """Join stores, each named as in `open_pair`, into OUT.policies.h5, OUT.trajectories.h5 and the card OUT.md.

    Tasks stand in the order in which they are named first, the runs of a task in that of their seeds.

    Args:
        paths: Two or more.
        out: The name.
        partial: Take a result some of whose trained tasks have no test prompts of runs that nothing is trained on.
            Tasks without a success rate, which are told by numbers, need none.

    Returns:
        The three files.

    Raises:
        UserError: One store alone, or one that the result would replace; other layouts, simulators or sizes of
            observations; a run in two of them; no runs for test prompts.
    """
    if len(paths) < 2:
        raise UserError("One store alone is nothing to join.", fix="name two stores or more: hyprepro store merge A B")
    _check_name(out, paths)
    with ExitStack() as stack:
        pairs = [stack.enter_context(open_pair(path)) for path in paths]
        for pair in pairs[1:]:
            _check_alike(pairs[0], pair)
        chosen: dict[str, list[Source]] = {}
        for number, pair in enumerate(pairs):
            for task in pair.policies.tasks:
                chosen.setdefault(task, []).extend(Source(number, row) for row in range(pair.policies.count(task)))
        for task in chosen:
            _check_runs(pairs, task)
            chosen[task].sort(key=lambda source: _seed(pairs, task, source))
        files = _written(pairs, chosen, out, merged_route([p.policies.route for p in pairs]), partial)
        return [*files, _card("merge", zip(paths, pairs, strict=True), [], partial, files)]


def subset(path: Path, out: Path, wanted: Wanted, partial: bool = False) -> list[Path]:
    """Write a part of a store, named as in `open_pair`, as OUT.policies.h5, OUT.trajectories.h5 and the card OUT.md.

    Training and validation prompts go with their policies; what is kept stands in its old order.

    Args:
        path: The store.
        out: The name.
        wanted: Which part.
        partial: As in `merge`.

    Returns:
        The three files.

    Raises:
        UserError: A task or a run that is not there, fewer runs than asked for, nothing left, no runs for test prompts;
            the result would replace the store.
    """
    _check_name(out, [path])
    with open_pair(path) as pair:
        for task in wanted.tasks:
            pair.policies.group(task)
        chosen = {
            task: [Source(0, int(row)) for row in _rows(pair.policies, task, wanted)]
            for task in wanted.tasks or pair.policies.tasks
        }
        _check_left(pair, chosen, wanted)
        route = {**_left(pair.policies.route, wanted), "subset_of": pair.policies.digest}
        files = _written([pair], {task: rows for task, rows in chosen.items() if rows}, out, route, partial)
        return [*files, _card("subset", [(path, pair)], wanted.flags(), partial, files)]


def merged_route(routes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How joined policies were made: as the whole, where all are parts of one collection; else as each was."""
    wholes = [{name: value for name, value in route.items() if name not in (PART, UNSOLVED)} for route in routes]
    parts, unsolved = [route[PART] for route in routes if PART in route], joined_unsolved(routes)
    if any(whole != wholes[0] for whole in wholes) or len(parts) < len(routes):
        texts = list(dict.fromkeys(str(route.get("summary", route.get("name", "unknown"))) for route in routes))
        each = [{name: value for name, value in route.items() if name != UNSOLVED} for route in routes]
        return {"name": "merged", "summary": "; and ".join(texts), "parts": each, **unsolved}
    runs, count = sorted({run for part in parts for run in part["runs"]}), parts[0]["of"]
    part = {} if len(runs) == count else {PART: {"runs": runs, "of": count}}
    return {**wholes[0], **part, **unsolved}


def _left(route: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    """A route without the runs that did not get there and are not asked for either."""
    asked = {
        task: {seed: curve for seed, curve in runs.items() if not wanted.runs or int(seed) in wanted.runs}
        for task, runs in route.get(UNSOLVED, {}).items()
        if not wanted.tasks or task in wanted.tasks
    }
    rest = {name: value for name, value in route.items() if name != UNSOLVED}
    return {**rest, **joined_unsolved([{UNSOLVED: {task: runs for task, runs in asked.items() if runs}}])}


def _card(
    command: str, given: Iterable[tuple[Path, Pair]], flags: list[str], partial: bool, files: Sequence[Path]
) -> Path:
    """Write the card beside what a command made. It names stores as the user did, but no folder of this machine."""
    sources = []
    for path, (policies, trajectories) in given:
        name = str(stem(path)) if not path.is_absolute() else stem(path).name
        sources.append(Given(name, policies.digest, trajectories.digest, policies.route.get(PART)))
    out = stem(files[0])
    words = ["hyprepro", "store", command, *(source.name for source in sources), *flags, "--out", out.name]
    card = out.with_name(f"{out.name}.md")
    write_atomically(card, part_card([*words, *(["--partial"] * partial)], sources, *files).encode())
    return card


def _rows(store: PolicyStore, task: str, wanted: Wanted) -> NDArray[np.int64]:
    """The rows of a task that are wanted, in their order."""
    meta = store.meta(task)
    seeds, trains = meta["seed"], meta["split"] == "train"
    keep = np.isin(seeds, wanted.runs) if wanted.runs else np.ones(len(seeds), dtype=bool)
    trained = np.unique(seeds[trains & keep])
    if wanted.train_runs is not None:
        keep &= ~np.isin(seeds, trained[wanted.train_runs :])
    if wanted.policies is not None:
        for seed in trained:
            keep[np.flatnonzero(trains & (seeds == seed))[: -wanted.policies]] = False
    return np.flatnonzero(keep)


def _check_left(pair: Pair, chosen: dict[str, list[Source]], wanted: Wanted) -> None:
    """Refuse a part that is empty or lacks what was asked for."""
    store, known = pair.policies, set()
    for task in chosen:
        meta = store.meta(task)
        known |= set(meta["seed"].tolist())
        trained = len(np.unique(meta["seed"][meta["split"] == "train"]))
        if trained and wanted.train_runs is not None and trained < wanted.train_runs:
            raise UserError(
                f"{task} has {trained} training runs, and {wanted.train_runs} are asked for.",
                where=store.where,
                fix=f"--train-runs {trained}, or collect more: Selection.train_seeds",
            )
    strange = sorted(set(wanted.runs) - known)
    if strange or not any(chosen.values()):
        raise UserError(
            f"The store has no run {strange[0]}." if strange else "Nothing of the store would be left.",
            where=store.where,
            fix=f"its runs are {', '.join(map(str, sorted(known)))}",
        )


def _check_name(out: Path, paths: Sequence[Path]) -> None:
    """Refuse to write over what is read: a full disk would leave neither."""
    if stem(out).resolve() in [stem(path).resolve() for path in paths]:
        raise UserError(
            f"{stem(out).name} is one of the stores that are read.",
            where=f"--out {out}",
            fix="give the result a name of its own",
        )


def _check_alike(one: Pair, other: Pair) -> None:
    """Refuse to join what belongs to different worlds."""
    if one.policies.layout != other.policies.layout:
        raise UserError(
            f"The stores hold policies of different layouts: {one.policies.layout.shape}, "
            f"{'/'.join(one.policies.layout.activations)}, and {other.policies.layout.shape}, "
            f"{'/'.join(other.policies.layout.activations)}.",
            where=f"{one.policies.where}\n{other.policies.where}",
            fix="join stores of one layout",
        )
    for mine, theirs in zip(one, other, strict=True):
        gaps = [gap for gap in identity_gaps(mine.versions, theirs.versions) if gap[1] != gap[2]]
        if gaps:
            text = "; ".join(f"{name} {old} and {new}" for name, old, new in gaps)
            raise UserError(
                f"The stores were made with different simulators: {text}.",
                where=f"{mine.where}\n{theirs.where}",
                fix="collect one of them again with the other's versions",
            )
    sizes = [(pair.trajectories.observation_size, pair.trajectories.action_size) for pair in (one, other)]
    if sizes[0] != sizes[1]:
        raise UserError(
            f"The episodes have different sizes: {sizes[0]} and {sizes[1]} observations and actions.",
            where=f"{one.trajectories.where}\n{other.trajectories.where}",
            fix="join stores of one domain",
        )


def _check_runs(pairs: Sequence[Pair], task: str) -> None:
    """Refuse a run that two stores have."""
    owner: dict[int, Pair] = {}
    for pair in pairs:
        if task not in pair.policies.tasks:
            continue
        for seed in np.unique(pair.policies.meta(task)["seed"]).tolist():
            if seed in owner and seed >= 0:
                raise UserError(
                    f"Run {seed} of {task} stands in two of the stores.",
                    where=f"{owner[seed].policies.where}\n{pair.policies.where}",
                    fix="leave it out of one (hyprepro store subset), or collect with another seed: it renumbers",
                )
            owner[seed] = pair


def _seed(pairs: Sequence[Pair], task: str, source: Source) -> int:
    return int(pairs[source.pair].policies.meta(task)["seed"][source.row])


def _written(
    pairs: Sequence[Pair], chosen: dict[str, list[Source]], out: Path, route: dict[str, Any], partial: bool
) -> list[Path]:
    """Write the chosen policies in their order, and the episodes of each store that are theirs or nobody's."""
    name, layout = stem(out), pairs[0].policies.layout
    files = [name.with_name(name.name + end) for end in (POLICIES, TRAJECTORIES)]
    versions = [_joined([store.versions for store in stores]) for stores in zip(*pairs, strict=True)]
    if not partial:
        _check_tested(pairs, chosen)
    widest: Precision = "float32" if any(pair.policies.weights == "float32" for pair in pairs) else "float16"
    with PolicyStoreWriter(files[0], layout, route, widest, versions[0]) as policies:
        for task, sources in chosen.items():
            for source in sources:
                _copy_policy(pairs[source.pair].policies, task, source.row, policies)
        digest = policies.close()
    sizes = pairs[0].trajectories.observation_size, pairs[0].trajectories.action_size
    with TrajectoryStoreWriter(files[1], route, digest, *sizes, versions=versions[1]) as episodes:
        for task, sources in chosen.items():
            _copy_episodes(pairs, task, sources, episodes)
    return files


def _check_tested(pairs: Sequence[Pair], chosen: dict[str, list[Source]]) -> None:
    """Refuse a result without prompts of runs that nothing is trained on; tasks without a success rate need none."""
    metas = {
        task: [{name: column[s.row] for name, column in pairs[s.pair].policies.meta(task).items()} for s in sources]
        for task, sources in chosen.items()
    }
    rated = {task: rows for task, rows in metas.items() if any(m["episodes"] and m["success"] >= 0 for m in rows)}
    lacking = untested({task: [(int(m["seed"]), str(m["split"])) for m in rows] for task, rows in rated.items()})
    if lacking:
        raise UserError(
            f"No run for test prompts is left of {', '.join(lacking)}: each gives training policies.",
            where="\n".join(pair.policies.where for pair in pairs),
            fix="name the part with the collection's last runs too, or say --partial",
        )


def _copy_policy(store: PolicyStore, task: str, row: int, writer: PolicyStoreWriter) -> None:
    meta = {name: column[row] for name, column in store.meta(task).items()}
    seed, step, success, episodes, returns = (meta[name] for name in ("seed", "step", "success", "episodes", "return"))
    writer.append(task, store.read(task, [row]), seed, step, success, episodes, returns, str(meta["split"]))


def _copy_episodes(pairs: Sequence[Pair], task: str, sources: Sequence[Source], writer: TrajectoryStoreWriter) -> None:
    """A task's episodes: those of the chosen policies with their new rows, in the order of runs, then of stores."""
    places = {source: place for place, source in enumerate(sources)}
    found: list[tuple[int, int, int]] = []
    for number in dict.fromkeys(source.pair for source in sources):
        store = pairs[number].trajectories
        if task in store.tasks:
            for index, row in enumerate(store.table(task)["policy_row"].tolist()):
                source = Source(number, row)
                if row < 0 or source in places:
                    found.append((_seed(pairs, task, source) if len(pairs) > 1 and row >= 0 else -1, number, index))
    for _, number, index in sorted(found):
        episode = pairs[number].trajectories.episode(task, index)
        row = places.get(Source(number, episode.policy_row), -1)
        arrays = episode.observations, episode.actions, episode.rewards
        writer.append(task, *arrays, episode.success_step, episode.goal_seed, row, episode.split, episode.terminated)


def _joined(versions: Sequence[dict[str, str]]) -> dict[str, str]:
    """Versions of libraries; where they differ, all of them."""
    names = sorted({name for each in versions for name in each})
    return {name: " and ".join(dict.fromkeys(each[name] for each in versions if name in each)) for name in names}
