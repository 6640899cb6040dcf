"""What is sent: a pair of stores, a finished result, or a result with the trained networks behind it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyprepro.config.files import read
from hyprepro.errors import UserError
from hyprepro.experiments.choice import open_cache
from hyprepro.experiments.results import digest
from hyprepro.experiments.trainings import OPERATIVE, choice_of_result
from hyprepro.hub import client
from hyprepro.hub.manifest import GENERATOR, RESULT, STORE, Manifest, problem_of_name
from hyprepro.reports.reading import read_result
from hyprepro.reports.summaries import READERS, records_in
from hyprepro.stores.bundled import Pinned

if TYPE_CHECKING:
    from hyprepro.engine.cache import ArtifactCache
    from hyprepro.engine.stage import Stage

TRAINED = "trained"
"""The folder of trained networks in a repository, a cache of finished stages by its form."""
CARD = "README.md"
ALL = "all"
_OWN_PATH = re.compile(r"""=\s*['"](/|~|[A-Za-z]:\\)""")
RUN_AGAIN = "hyprepro run RECIPE makes a result with all its files; hyprepro adopt RUN computes its numbers again"


@dataclass(frozen=True)
class Parcel:
    """What is sent.

    Attributes:
        kind: "store", "result" or "generator".
        name: What it is called.
        files: By their path in the repository; without the card.
        result: The content of its result.json, where it has one.
        methods: The rows whose trained networks it holds.
    """

    kind: str
    name: str
    files: Mapping[str, Path]
    result: Mapping[str, Any] | None = None
    methods: tuple[str, ...] = ()

    def manifest(self, licence: str) -> Manifest:
        """Names, sizes and digests of its files."""
        return Manifest(self.kind, self.name, licence, {name: Pinned.of(path) for name, path in self.files.items()})

    @property
    def doubts(self) -> list[str]:
        """What keeps others from repeating it, one line each."""
        config = self.files.get(OPERATIVE)
        if config is None:
            return []
        lines = read(config).splitlines()
        paths = [line for line in lines if _OWN_PATH.search(line)]
        modules = [line.removeprefix("import ") for line in lines if line.startswith("import ")]
        found = [f"{OPERATIVE} names a place on this machine, which others do not have: {line}" for line in paths]
        return found + [f"{OPERATIVE} takes a module of yours, which is not sent: {name}" for name in modules]

    @property
    def repository(self) -> str:
        """The Hub's type of repository for it."""
        return client.MODEL if self.kind == GENERATOR else client.DATASET


def store_parcel(path: Path) -> Parcel:
    """A pair of stores with its card, or the one file that was named.

    Raises:
        UserError: A store is missing, invalid or damaged.
    """
    from hyprepro.stores.info import open_any
    from hyprepro.stores.parts import POLICIES, TRAJECTORIES, stem

    name = stem(path)
    pair = [name.with_name(name.name + end) for end in (POLICIES, TRAJECTORIES)]
    stores = [file for file in pair if file.is_file()] or [path]
    for file in stores:
        with open_any(file) as store:
            problems = store.verify()
        if problems:
            raise UserError(f"The store is damaged: {problems[0]}.", where=str(file), fix="hyprepro store verify")
    beside = [file for file in (name.with_name(f"{name.name}.md"),) if file.is_file()]
    return Parcel(STORE, name.name.removesuffix(".h5"), _checked({file.name: file for file in [*stores, *beside]}))


def is_store(text: str) -> bool:
    """Whether an argument names stores: a file of them, or what a pair begins with."""
    from hyprepro.stores.parts import POLICIES

    path = Path(text)
    return path.suffix == ".h5" or path.with_name(f"{path.name}{POLICIES}").is_file()


def result_parcel(path: Path, methods: Sequence[str] = (), cache: Path | None = None) -> Parcel:
    """The files of a finished result, and the trained networks of some of its rows.

    Args:
        path: Its result.json.
        methods: Rows, or "all".
        cache: Where they were trained.

    Raises:
        UserError: It is damaged or has no records, its numbers are not theirs, or a row is not trained here.
    """
    result, folder = read_result(path), path.parent
    refuse_unfounded(path, result)
    files = {each.name: each for each in sorted(folder.iterdir()) if each.is_file() and not problem_of_name(each.name)}
    files.pop(CARD, None)
    name = "-".join([str(result["recipe"]), str(result["scale"])])
    if not methods:
        return Parcel(RESULT, name, _checked(files), result)
    store = open_cache(cache)
    stages = _trained(path, result, methods, store)
    for stage in dict.fromkeys(stages.values()):
        root = store.path_of(stage)
        files |= {
            f"{TRAINED}/{root.name}/{each.relative_to(root)}": each
            for each in sorted(root.rglob("*"))
            if each.is_file()
        }
    rows = tuple(dict.fromkeys(method for method, _ in stages))
    return Parcel(GENERATOR, name, _checked(files), result, rows)


def refuse_unfounded(path: Path, result: Mapping[str, Any]) -> None:
    """Refuse a result whose numbers nobody can compute again.

    Raises:
        UserError: It has no records beside it, no digest, or one that its numbers and records do not give.
    """
    file = records_in(path.parent)
    records = () if file is None else READERS[file.name](file)
    if not records:
        raise UserError(
            "This result has no records, from which every number of a result is computed.",
            where=str(file or path.parent),
            fix=RUN_AGAIN,
        )
    if digest(records, result["rows"], result.get("comparisons", ())) != result.get("digest"):
        raise UserError(
            "The numbers and records of this result do not give its digest: one of them was changed after the run.",
            where=str(path),
            fix=RUN_AGAIN,
        )


def _trained(
    path: Path, result: Mapping[str, Any], methods: Sequence[str], cache: ArtifactCache
) -> dict[tuple[str, int], Stage]:
    """The finished training stages behind rows of a result, by row and seed."""
    from hyprepro.api import one_of
    from hyprepro.experiments.rollouts import Rollouts

    config = path.parent / OPERATIVE
    recipe = choice_of_result(path, result).recipe
    targets = [stage for data in recipe.sources() for stage in recipe.targets(data) if isinstance(stage, Rollouts)]
    learners = {(each.method.name, each.seed): each.trained for each in targets if each.trained is not None}
    names = list(dict.fromkeys(name for name, _ in learners))
    for method in methods:
        if method != ALL:
            one_of("trained method", method, names)
    wanted = {key: stage for key, stage in learners.items() if ALL in methods or key[0] in methods}
    if not wanted:
        raise UserError("Nothing of this result is trained.", where=str(path), fix="leave out --method")
    for (method, seed), stage in wanted.items():
        if not cache.is_finished(stage):
            raise UserError(
                f"{method}, seed {seed}, is not trained here with these settings and this version.",
                where=str(cache.root.absolute()),
                fix=f"push what this makes: hyprepro run {shlex.quote(str(config))} --cache {cache.root}",
            )
    return wanted


def _checked(files: Mapping[str, Path]) -> dict[str, Path]:
    for problem in filter(None, map(problem_of_name, files)):
        raise UserError(f"This cannot be published: {problem}.", fix="rename or leave out the file")
    return dict(files)
