"""A recipe as somebody asks for it, on a command line or in a notebook: resolved, and how it differs from the shipped.

Commands import this before they know whether they will run anything, so it imports what it needs inside its functions.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hyprepro.errors import UserError

if TYPE_CHECKING:
    from hyprepro.engine.cache import ArtifactCache
    from hyprepro.experiments.recipe import Experiment
    from hyprepro.reports.changes import Departure

DEFAULT_SCALE = "desktop"
"""The scale where none is asked for."""
DEFAULT_CACHE = Path(".hyprepro")
RUNS = Path("runs")
"""Where runs write unless told otherwise. References stand elsewhere, and no run writes them (`references`)."""


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
    scale: str | None = None,
    variant: str | None = None,
    seeds: int | None = None,
    bindings: Sequence[str] | None = None,
    gin_files: Sequence[Path] | None = None,
) -> Choice:
    """Resolve what the user asked for; without a scale, the default one where the user's own recipe says nothing.

    Raises:
        UserError: for every mistake in it.
    """
    from hyprepro.config import files
    from hyprepro.config.registry import resolve
    from hyprepro.experiments.recipe import Experiment

    bindings, gin_files = bindings or (), gin_files or ()
    resolved = resolve(recipe, scale, variant, bindings, gin_files, seeds=seeds, default_scale=DEFAULT_SCALE)
    if not isinstance(resolved.recipe, Experiment):
        raise UserError(f"{recipe} does not describe a recipe.", where=recipe, fix="See gin/recipes/ for examples.")
    is_own = any(str(name).endswith(files.SUFFIX) for name in (recipe, scale, variant))
    is_custom = bool(bindings or gin_files) or seeds is not None or is_own
    departure = _departure(resolved.recipe, recipe, scale or DEFAULT_SCALE, variant, is_custom)
    is_default = scale == DEFAULT_SCALE and not recipe.endswith(files.SUFFIX)
    named = {"--scale": None if is_default else scale, "--variant": variant, "--seeds": seeds}
    flags = [(name, str(value)) for name, value in named.items() if value is not None]
    flags += [("-g", str(name)) for name in gin_files] + [("-b", text) for text in bindings]
    command = shlex.join(["hyprepro", "run", recipe, *(word for flag in flags for word in flag)])
    return Choice(resolved.recipe, resolved.operative_config, is_custom, departure, resolved.replaced, command)


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


def open_cache(folder: Path | None) -> ArtifactCache:
    """The cache of finished stages: `--cache`, else `.hyprepro` in the working folder."""
    from hyprepro.engine.cache import ArtifactCache

    return ArtifactCache(folder or DEFAULT_CACHE)
