"""`hyprepro generate`: the policies that a method writes for test prompts, or for demonstrations of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyprepro.cli import arguments, completion, console
from hyprepro.cli.progress import RunProgress, note_departure, note_left_out
from hyprepro.errors import UserError
from hyprepro.experiments.choice import Choice, choose, open_cache

if TYPE_CHECKING:
    from hyprepro.domains.base import Query
    from hyprepro.engine.cache import ArtifactCache
    from hyprepro.engine.executors import Executor
    from hyprepro.experiments.generated import Evaluation, Policies
    from hyprepro.experiments.rollouts import Rollouts

    Parts = list[tuple[Policies, Evaluation | None]]

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
PromptOption = Annotated[
    list[str] | None,
    typer.Option(
        "--prompt",
        metavar="FILE",
        help="A demonstration of your own in place of stored prompts: an .npz file of observations, actions and "
        "success, a Minari dataset (folder or id), or a trajectory store. May be repeated; --task says of which task.",
        show_default="the store's test prompts",
    ),
]
ParameterOption = Annotated[
    list[float] | None,
    typer.Option(
        "--parameter",
        metavar="X",
        help="Any number that tells a task where tasks are told by one: a target velocity. May be repeated.",
        show_default="the recipe's tasks",
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="The generator seed.")]


def generate(
    recipe: arguments.RecipeArgument,
    out: OutArgument,
    method: MethodOption = "gen-hyprl",
    task: TaskOption = None,
    prompt: PromptOption = None,
    parameter: ParameterOption = None,
    seed: SeedOption = 0,
    scale: arguments.ScaleOption = None,
    variant: arguments.VariantOption = None,
    bind: arguments.BindingsOption = None,
    gin: arguments.FilesOption = None,
    workers: arguments.WorkersOption = None,
    executor: arguments.ExecutorOption = "local",
    address: arguments.AddressOption = None,
    job: arguments.JobOption = None,
    cache: arguments.CacheOption = None,
    device: arguments.DeviceOption = None,
    json: arguments.JsonOption = False,
) -> None:
    """Write the policies that a method generates, one a test prompt or some a velocity, with their measured scores.

    Of several numbers of training tasks the recipe's first counts. What must be trained or evaluated for it is trained
    and evaluated, and kept for `hyprepro run`. A task that the method cannot act in is left out, and named. Policies
    for demonstrations or numbers of your own are run from the starts of the recipe's protocols, if their task is known.
    """
    from hyprepro.api import evaluations, recipe_of_rows
    from hyprepro.experiments.generated import write_policies
    from hyprepro.experiments.told import left_out

    chosen = arguments.choose_executor(executor, address, workers, device, job)
    choice = choose(recipe, scale, variant, None, bind, gin)
    if out.exists():
        raise UserError(
            "The file exists already.", where=f"--out {out}", fix="Name another file, or move this one away."
        )
    store = open_cache(cache)
    is_own = bool(prompt or parameter)
    stages = evaluations(choice, method, seed, () if is_own else task or ())
    queries = _queries(stages[0], prompt or [], parameter or [], task or []) if is_own else []
    left = [] if is_own else left_out(stages, task or recipe_of_rows(choice).all_tasks)
    if not json:
        note_departure(choice)
        note_left_out(left)
    with RunProgress(quiet=json) as progress:
        if is_own:
            parts = _own(choice, stages, queries, store, chosen, progress)
        else:
            parts = _stored(choice, stages, store, chosen, progress)
    write_policies(out, parts)
    counts = {policies.name: len(policies) for policies, _ in parts}
    if json:
        console.print_json({"path": str(out), "policies": counts, "left_out": [each._asdict() for each in left]})
        return
    console.columns([(name, f"{count} policies") for name, count in counts.items()], indent=0)
    console.note(f"Written to {out}")


def _queries(stage: Rollouts, prompts: list[str], parameters: list[float], tasks: list[str]) -> list[Query]:
    """What is asked with the user's own conditions: all demonstrations at once, and every number.

    Raises:
        UserError: Both kinds are given, several tasks, or what cannot be a condition.
    """
    from hyprepro.api import asked

    if (prompts and parameters) or len(tasks) > 1 or (parameters and tasks):
        raise UserError(
            "Demonstrations are of one task, and numbers are tasks of their own.",
            where=" and ".join(
                ["--prompt"] * bool(prompts) + ["--parameter"] * bool(parameters) + ["--task"] * len(tasks)
            ),
            fix="Say --prompt FILE with at most one --task NAME, or --parameter X without one.",
        )
    if prompts:
        return [asked(stage, prompts, "".join(tasks))]
    return [asked(stage, number) for number in dict.fromkeys(parameters)]


def _own(
    choice: Choice,
    stages: list[Rollouts],
    queries: list[Query],
    cache: ArtifactCache,
    executor: Executor,
    progress: RunProgress,
) -> Parts:
    """The policies for the user's own conditions, run from the starts that the protocols give a first policy."""
    from hyprepro.api import Generator
    from hyprepro.engine.schedule import execute

    stage = stages[0]
    if stage.trained is not None:
        execute([stage.trained], cache, executor, progress)
    protocols = [each.protocol for each in stages if each.task == stage.task]
    generator, parts = Generator(choice, stage, cache), []
    for query in queries:
        made = generator.answer(query)
        trials = [each for kind in protocols for each in kind.trials(made.domain, query.task, 1)]
        parts.append((made, made.evaluate([each.start for each in trials]) if query.task else None))
    return parts


def _stored(
    choice: Choice, stages: list[Rollouts], cache: ArtifactCache, executor: Executor, progress: RunProgress
) -> Parts:
    """The policies that evaluations ran, with what was recorded of them under the protocols that the table reports."""
    from hyprepro.api import origin
    from hyprepro.engine.schedule import execute
    from hyprepro.experiments.generated import Policies, as_policies

    execute(stages, cache, executor, progress)
    parts: Parts = []
    for task in dict.fromkeys(stage.task for stage in stages):
        own = [stage for stage in stages if stage.task == task]
        inputs = {name: cache.path_of(source) for name, source in own[0].inputs.items()}
        controllers = as_policies(own[0].deploy(inputs), own[0].method.name)
        policies = Policies(own[0].data.domain, task, controllers, own[0].seed, origin(choice, own[0]))
        parts.append((policies, _recorded(own, cache, len(policies))))
    return parts


def _recorded(stages: list[Rollouts], cache: ArtifactCache, policies: int) -> Evaluation:
    """What the evaluations of a task recorded, protocol by protocol."""
    import numpy as np

    from hyprepro.experiments.generated import Evaluation

    records = [record for stage in stages for record in stage.load(cache.path_of(stage))]
    scores = [[record.score for record in records if record.policy == row] for row in range(policies)]
    return Evaluation(stages[0].task, stages[0].data.domain.metric.name, np.array(scores))
