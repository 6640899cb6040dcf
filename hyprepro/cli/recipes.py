"""What the commands that run something share: resolving a recipe, its folders, and running it with progress."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hyprepro.cli import console
from hyprepro.cli.arguments import DEFAULT_SCALE
from hyprepro.errors import UserError, closest_match

if TYPE_CHECKING:
    from hyprepro.domains.base import Domain
    from hyprepro.engine.cache import ArtifactCache
    from hyprepro.engine.executors import Executor
    from hyprepro.experiments.recipe import Experiment
    from hyprepro.reports.changes import Departure

DEFAULT_CACHE = Path(".hyprepro")
RUNS = Path("runs")
"""Where runs write unless told otherwise. References stand elsewhere, and no run writes them (`references`)."""
DEVICES = ("cpu", "cuda")
EXECUTORS = ("local", "ray")
DEFAULT_WORKERS = 2


@dataclass(frozen=True)
class Choice:
    """A recipe as the user asked for it.

    Args:
        recipe: The resolved recipe.
        operative_config: Its gin text with every value.
        is_custom: Whether anything but a shipped recipe at a shipped scale and variant was asked for.
        departure: Every value that differs from the shipped recipe.
        replaced: What a variant or scale that was asked for replaces of a recipe of the user's own.
        command: What runs it, to be copied: with all flags that were given.
    """

    recipe: Experiment
    operative_config: str
    is_custom: bool
    departure: Departure
    replaced: tuple[str, ...]
    command: str

    def folder(self, out: Path | None) -> Path:
        """Where its result goes: `out`, or a folder of `runs/` that no other choice writes to.

        Raises:
            UserError: `out` lies among the references.
        """
        from hyprepro.experiments.references import is_reference
        from hyprepro.experiments.run import results_folder

        folder = out or results_folder(RUNS, self.recipe, self.is_custom)
        if is_reference(folder):
            raise UserError(
                "This folder holds references, which results are held against; no run writes there.",
                where=f"--out {folder}",
                fix="Leave out --out to write to runs/. A finished run becomes a reference by: hyprepro adopt RUN",
            )
        return folder


def choose(
    recipe: str,
    scale: str | None,
    variant: str | None,
    seeds: int | None,
    bindings: Sequence[str] | None,
    gin_files: Sequence[Path] | None,
) -> Choice:
    """Resolve what the user asked for; without a scale, the default one where the user's own recipe says nothing.

    Raises:
        UserError: for every mistake in it.
    """
    from hyprepro.config import files
    from hyprepro.config.registry import resolve
    from hyprepro.experiments.recipe import Experiment

    given = (bindings or (), gin_files or ())
    resolved = resolve(recipe, scale, variant, *given, seeds=seeds, default_scale=DEFAULT_SCALE)
    if not isinstance(resolved.recipe, Experiment):
        raise UserError(f"{recipe} does not describe a recipe.", where=recipe, fix="See gin/recipes/ for examples.")
    named = [name for name in (recipe, scale, variant) if name]
    is_custom = bool(bindings or gin_files) or seeds is not None or any(name.endswith(files.SUFFIX) for name in named)
    departure = _departure(resolved.recipe, recipe, scale or DEFAULT_SCALE, variant, is_custom)
    command = _command(recipe, scale, variant, seeds, bindings or (), gin_files or ())
    return Choice(resolved.recipe, resolved.operative_config, is_custom, departure, resolved.replaced, command)


def _command(
    recipe: str,
    scale: str | None,
    variant: str | None,
    seeds: int | None,
    bindings: Sequence[str],
    gin_files: Sequence[Path],
) -> str:
    """The command that runs what `choose` was asked for; what is left to its default is left out."""
    is_default = scale == DEFAULT_SCALE and not recipe.endswith(".gin")
    flags = {"--scale": None if is_default else scale, "--variant": variant, "--seeds": seeds}
    words = [recipe, *(str(word) for name, value in flags.items() if value is not None for word in (name, value))]
    words += [word for name in gin_files for word in ("-g", str(name))]
    return shlex.join(["hyprepro", "run", *words, *(word for text in bindings for word in ("-b", text))])


def _departure(chosen: Experiment, recipe: str, scale: str, variant: str | None, is_custom: bool) -> Departure:
    """How a recipe differs from what is shipped: under its name, at its scale and variant or else the default ones."""
    from hyprepro.config import files
    from hyprepro.config.registry import resolve
    from hyprepro.reports.changes import Departure

    name = recipe if recipe in files.shipped("recipes") else chosen.name
    if name not in files.shipped("recipes"):
        return Departure("")
    scale = scale if scale in files.shipped("scales") else DEFAULT_SCALE
    variant = variant if variant in files.shipped("variants") else None
    words = " ".join([name, f"--scale {scale}", *([f"--variant {variant}"] if variant else [])])
    if not is_custom:
        return Departure(words)
    return Departure.of(words, resolve(name, scale, variant).recipe.described(), chosen.described())


def note_departure(choice: Choice) -> None:
    """Say on standard error every value that differs from the shipped recipe or the user's own, before any work."""
    for text in choice.replaced:
        console.note(f"Not as in your file: {text}")
    for change in choice.departure.changes:
        console.note(f"Not as shipped: {change}")


def refuse_missing_result(name: str) -> None:
    """Refuse a name that can only be meant as the place of a result, where there is none; not a recipe's name.

    Raises:
        UserError: It is a path, and not that of a gin file.
    """
    from hyprepro.config import files
    from hyprepro.reports.reading import MAKE

    if os.sep in name and not name.partition("@")[0].endswith(files.SUFFIX):
        raise UserError("There is no result here.", where=name, fix=MAKE)


def committed_result(choice: Choice) -> Path:
    """The reference of a recipe: the working folder's, the checkout's, or the wheel's.

    Raises:
        UserError: if there is none.
    """
    from hyprepro.experiments.references import roots
    from hyprepro.experiments.run import results_folder
    from hyprepro.reports.reading import RESULT

    places = [results_folder(root, choice.recipe) / RESULT for root in roots()]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise UserError(
            "There is no committed result of this recipe.",
            where="looked for " + ", ".join(str(path) for path in dict.fromkeys(places)),
            fix=f"Make it with: {choice.command}; hyprepro adopt {choice.folder(None)}",
        )
    return found


def use_device(name: str | None) -> None:
    """Make this process and its workers compute on a device; None leaves what the environment says.

    Raises:
        UserError: for an unknown device, or one that torch cannot use here.
    """
    from hyprepro.engine.stage import DEVICE_VARIABLE

    if name is None:
        return
    if name not in DEVICES:
        raise UserError(
            f"There is no device named {name!r}.",
            where=f"--device {name}",
            closest=closest_match(name, DEVICES),
            fix="Choose cpu or cuda.",
        )
    if name == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise UserError(
                "torch finds no usable GPU here.",
                where="--device cuda",
                closest="--device cpu",
                fix="Use the CPU, or install a build of torch for your GPU (see pytorch.org).",
            )
    os.environ[DEVICE_VARIABLE] = name  # part of every stage's key, and inherited by the workers


def choose_executor(name: str, address: str | None, workers: int | None) -> Executor:
    """Where stages run: `--executor`, `--address` and `--workers`.

    Raises:
        UserError: for an unknown executor, one that is not installed, or flags that do not fit together.
    """
    if name not in EXECUTORS:
        raise UserError(
            f"There is no executor named {name!r}.",
            where=f"--executor {name}",
            closest=closest_match(name, EXECUTORS),
            fix="Choose local or ray.",
        )
    if name == "local":
        if address is not None:
            raise UserError(
                "Only a Ray cluster has an address.",
                where=f"--address {address}",
                fix=f"Say: --executor ray --address {address}",
            )
        from hyprepro.engine.executors import local

        return local(DEFAULT_WORKERS if workers is None else workers)
    if workers == 0:
        raise UserError(
            "With Ray, no stage runs in this process.", where="--workers 0", fix="Leave out --workers, or --executor."
        )
    from hyprepro.engine.ray import RayCluster

    return RayCluster(address, workers)


def chosen_domain(name: str | None) -> Domain | None:
    """The domain that `--domain` names: a component, or what a gin file binds; None where nothing is named.

    Raises:
        UserError: There is no such domain or file, or the file binds none.
    """
    from hyprepro.config import files
    from hyprepro.config.catalogue import load_components
    from hyprepro.config.registry import resolve
    from hyprepro.domains.base import Domain

    if name is None:
        return None
    kinds = {kind: cls for kind, cls in load_components().items() if issubclass(cls, Domain)}
    if name in kinds:
        return kinds[name]()
    if not name.endswith(files.SUFFIX):
        raise UserError(
            f"There is no domain named {name!r}.",
            where=f"--domain {name}",
            closest=closest_match(name, kinds),
            fix="name one that hyprepro list shows, or a gin file that imports your own and binds a field of it",
        )
    found = resolve(files.user_file(name, "the gin file"), slot="domain").recipe
    assert isinstance(found, Domain)
    return found


def open_cache(folder: Path | None) -> ArtifactCache:
    """The cache of finished stages: `--cache`, else `.hyprepro` in the working folder."""
    from hyprepro.engine.cache import ArtifactCache

    return ArtifactCache(folder or DEFAULT_CACHE)
