"""`hyprepro generate`: the policies that a method writes for the tasks of a recipe, as a policy store."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyprepro.cli import completion, console
from hyprepro.cli.arguments import (
    DEFAULT_SCALE,
    AddressOption,
    BindingsOption,
    CacheOption,
    DeviceOption,
    ExecutorOption,
    FilesOption,
    JsonOption,
    RecipeArgument,
    ScaleOption,
    VariantOption,
    WorkersOption,
)
from hyprepro.cli.progress import RunProgress
from hyprepro.cli.recipes import Choice, choose, choose_executor, note_departure, open_cache, use_device
from hyprepro.errors import UserError, closest_match

if TYPE_CHECKING:
    from hyprepro.engine.cache import ArtifactCache
    from hyprepro.experiments.recipe import Recipe
    from hyprepro.experiments.rollouts import Rollouts
    from hyprepro.policies.controllers import PolicyControllers
    from hyprepro.reports.records import Record

ROOM = 40_000
"""Bytes of a store's origin that changed values may take; an attribute holds 60,000."""

OutArgument = Annotated[Path, typer.Option("--out", metavar="FILE", help="The policy store to write (HDF5).")]
MethodOption = Annotated[
    str,
    typer.Option("--method", metavar="NAME", help="A row of the recipe's table.", autocompletion=completion.methods),
]
TaskOption = Annotated[
    list[str] | None,
    typer.Option(
        "--task",
        metavar="NAME",
        help="A task. May be repeated.",
        show_default="all",
        autocompletion=completion.tasks,
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="The generator seed.")]


def generate(
    recipe: RecipeArgument,
    out: OutArgument,
    method: MethodOption = "gen-hyprl",
    task: TaskOption = None,
    seed: SeedOption = 0,
    scale: ScaleOption = DEFAULT_SCALE,
    variant: VariantOption = None,
    bind: BindingsOption = None,
    gin: FilesOption = None,
    workers: WorkersOption = None,
    executor: ExecutorOption = "local",
    address: AddressOption = None,
    cache: CacheOption = None,
    device: DeviceOption = None,
    json: JsonOption = False,
) -> None:
    """Write the policies that a method generates, one a test prompt or some a velocity, with their measured scores.

    Of several numbers of training tasks the recipe's first counts. What must be trained or evaluated for it is trained
    and evaluated, and kept for `hyprepro run`.
    """
    from hyprepro.engine.schedule import execute
    from hyprepro.experiments.recipe import Recipe

    use_device(device)
    chosen = choose_executor(executor, address, workers)
    choice = choose(recipe, scale, variant, None, bind, gin)
    if out.exists():
        raise UserError(
            "The file exists already.", where=f"--out {out}", fix="Name another file, or move this one away."
        )
    store = open_cache(cache)
    if not isinstance(choice.recipe, Recipe):
        raise UserError(
            f"{recipe} runs no policies, and no others are generated into a store.",
            where=recipe,
            fix="Choose such a recipe, for instance: table1",
        )
    rollouts = _rollouts(choice.recipe, store, method, task, seed)
    if not json:
        note_departure(choice)
    with RunProgress(quiet=json) as progress:
        execute(rollouts, store, chosen, progress)
    counts = _write(out, rollouts, store, {**_origin(choice), "method": method, "seed": seed})
    if json:
        console.print_json({"path": str(out), "policies": counts})
        return
    console.columns([(name, f"{count} policies") for name, count in counts.items()], indent=0)
    console.note(f"Written to {out}")


def _origin(choice: Choice) -> dict[str, object]:
    """What the policies were made from: the recipe with all that differs from the shipped one, and the stores."""
    recipe, files = choice.recipe, choice.recipe.data()
    return {
        "recipe": recipe.name,
        "scale": recipe.scale,
        "variant": recipe.variant,
        "fingerprint": recipe.fingerprint(),
        "shipped": choice.departure.shipped,
        "changed": choice.departure.lines(ROOM),
        "stores": {"policies": files.policies.digest, "trajectories": files.trajectories.digest},
    }


def _rollouts(recipe: Recipe, cache: ArtifactCache, method: str, tasks: list[str] | None, seed: int) -> list[Rollouts]:
    """The evaluations of the chosen method, tasks and seed."""
    from hyprepro.experiments.run import plan

    _one_of("method", method, [each.name for each in recipe.methods])
    for name in tasks or ():
        _one_of("task", name, recipe.all_tasks)
    found = [
        stage
        for stage in plan(recipe, cache).rollouts
        if stage.method.name == method
        and stage.task in (tasks or recipe.all_tasks)
        and stage.seed == seed
        and stage.protocols == recipe.protocols
    ]
    if not found:
        raise UserError(
            f"{method} has no generator seed {seed} in this recipe.",
            where=f"--seed {seed}",
            fix="Seeds count from 0; a method that is not trained by seed has only seed 0.",
        )
    return [stage for stage in found if stage.n_train == found[0].n_train]


def _one_of(what: str, name: str, known: list[str] | tuple[str, ...]) -> None:
    if name not in known:
        raise UserError(
            f"The recipe has no {what} {name!r}.",
            where=f"--{what} {name}",
            closest=closest_match(name, known),
            fix=f"Choose one of: {', '.join(known)}",
        )


def _write(out: Path, rollouts: list[Rollouts], cache: ArtifactCache, source: dict[str, object]) -> dict[str, int]:
    import numpy as np

    from hyprepro.domains.base import RETURN
    from hyprepro.stores.policy_store import PolicyStoreWriter

    counts: dict[str, int] = {}
    writer: PolicyStoreWriter | None = None
    by_return = rollouts[0].data.domain.metric == RETURN
    for stage in rollouts:
        policies = _policies(stage, cache)
        if writer is None:
            note = {} if by_return else {"note": "returns are not recorded and stand as 0"}
            route = {"route": "generated", **note, **source}
            writer = PolicyStoreWriter(out, policies.layout, route, dtype="float32")
        scores, episodes = _scores(stage.load(cache.path_of(stage)), policies.n)
        success, returns = (np.nan, scores) if by_return else (scores, 0.0)
        writer.append(stage.task, np.asarray(policies.params), stage.seed, 0, success, episodes, returns, "test")
        counts[stage.task] = policies.n
    if writer is not None:
        writer.close()
    return counts


def _policies(stage: Rollouts, cache: ArtifactCache) -> PolicyControllers:
    """The policies that an evaluation ran.

    Raises:
        UserError: if the method yields agents that are not policies of one layout.
    """
    from hyprepro.policies.controllers import PolicyControllers

    inputs = {name: cache.path_of(source) for name, source in stage.inputs.items()}
    controllers = stage.deploy(inputs)
    if not isinstance(controllers, PolicyControllers):
        raise UserError(
            f"{stage.method.name} does not write policies.",
            where="--method",
            fix="Choose a method that writes weights.",
        )
    return controllers


def _scores(records: list[Record], policies: int) -> tuple[list[float], list[int]]:
    """Success rate or mean return, and episode count, of every policy, over the protocols that the table reports."""
    results: dict[int, list[float]] = defaultdict(list)
    for record in records:
        if record.protocol != "validation":
            results[record.policy].append(record.score)
    rates = [sum(results[row]) / max(len(results[row]), 1) for row in range(policies)]
    return rates, [len(results[row]) for row in range(policies)]
