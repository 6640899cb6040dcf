"""`hyprepro film`: rollouts to look at, a method's policy beside the expert and the nearest stored one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from hyprepro.cli import arguments, completion, console
from hyprepro.cli.generate import ParameterOption, SeedOption, TaskOption
from hyprepro.cli.progress import PLAIN_SECONDS, RunProgress, note_departure, note_left_out
from hyprepro.errors import UserError

if TYPE_CHECKING:
    from hyprepro.domains.base import Query
    from hyprepro.engine.cache import ArtifactCache
    from hyprepro.experiments.choice import Choice
    from hyprepro.experiments.film import Screen, Shot
    from hyprepro.experiments.rollouts import Rollouts
    from hyprepro.experiments.told import LeftOut

OutOption = Annotated[
    list[Path],
    typer.Option("--out", metavar="FILE", help="What to write: .mp4, .gif, or a still, .png. May be repeated."),
]
MethodOption = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        metavar="NAME",
        help="A row of the recipe's table, beside the expert and the nearest stored policy. May be repeated. It is "
        "trained if it is not in the cache.",
        autocompletion=completion.methods,
    ),
]
AloneOption = Annotated[bool, typer.Option("--alone", help="Only the rows that --method names.")]
PolicyOption = Annotated[
    int,
    typer.Option(
        "--policy", metavar="N", help="Which of a row's policies: of which prompt, or which draw or checkpoint."
    ),
]
WholeOption = Annotated[
    bool, typer.Option("--whole", help="Go on to the last step after a success, to see whether it holds.")
]
CameraOption = Annotated[
    str, typer.Option("--camera", metavar="NAME", help="A camera of the scene.", show_default="the domain's")
]
WidthOption = Annotated[
    int, typer.Option("--width", metavar="N", min=64, max=1280, help="Pixels across a picture; three quarters down.")
]
ColumnsOption = Annotated[
    int | None,
    typer.Option("--columns", metavar="N", min=1, max=64, help="Pictures in a row.", show_default="one a method"),
]
EveryOption = Annotated[
    int | None,
    typer.Option("--every", metavar="N", min=1, help="Show each N-th step.", show_default="20 frames a second"),
]
MomentsOption = Annotated[
    int, typer.Option("--moments", metavar="N", min=1, max=12, help="Moments of each episode in a still.")
]


class Asked(NamedTuple):
    """One row of a recipe for one task."""

    stage: Rollouts
    query: Query | None


def film(
    recipe: arguments.RecipeArgument,
    out: OutOption,
    method: MethodOption = None,
    alone: AloneOption = False,
    task: TaskOption = None,
    parameter: ParameterOption = None,
    policy: PolicyOption = 0,
    seed: SeedOption = 0,
    whole: WholeOption = False,
    camera: CameraOption = "",
    width: WidthOption = 240,
    columns: ColumnsOption = None,
    every: EveryOption = None,
    moments: MomentsOption = 1,
    scale: arguments.ScaleOption = None,
    variant: arguments.VariantOption = None,
    bind: arguments.BindingsOption = None,
    gin: arguments.FilesOption = None,
    workers: arguments.WorkersOption = None,
    cache: arguments.CacheOption = None,
    device: arguments.DeviceOption = None,
    json: arguments.JsonOption = False,
) -> None:
    """Film rollouts: a method's policy beside the expert and the nearest stored one, task by task.

    Each runs the first episode that the last of the recipe's protocols gives it, from the same start. A task that
    one of the rows cannot be told is left out, and named. Without --method nothing is trained. Drawn without a screen,
    by EGL or OSMesa; hyprepro doctor says what is missing.
    """
    from hyprepro.domains.camera import require_renderer
    from hyprepro.engine.schedule import execute
    from hyprepro.experiments.choice import choose, open_cache
    from hyprepro.experiments.film import Screen
    from hyprepro.reports.film.files import check_files

    check_files(out)
    executor = arguments.choose_executor("local", None, workers, device)
    choice = choose(recipe, scale, variant, None, bind, gin)
    store = open_cache(cache)
    asked, left = _asked(choice, method or [], alone, task or [], parameter or [], seed)
    _check(asked, camera)
    require_renderer()
    if not json:
        note_departure(choice)
        note_left_out(left)
    with RunProgress(quiet=json) as progress:
        execute([each.stage.trained for each in asked if each.stage.trained is not None], store, executor, progress)
    shots = [_shot(each, store, policy, whole) for each in asked]
    rows = len({shot.title for shot in shots})
    with Screen(shots, columns or (rows if rows > 1 else _square(len(shots))), width, camera) as screen:
        _write(screen, out, every, moments, quiet=json)
    _tell(shots, out, left, json)


def _asked(
    choice: Choice, methods: list[str], alone: bool, tasks: list[str], parameters: list[float], seed: int
) -> tuple[list[Asked], list[LeftOut]]:
    """What is filmed, row by row: tasks that every row can act in down, methods across; and which tasks are not.

    Raises:
        UserError: No such method, task or number, too many of them, or no task that every row can act in.
    """
    from hyprepro.api import asked, evaluations, one_of, recipe_of_rows
    from hyprepro.experiments.film import LARGEST_GRID, cast
    from hyprepro.experiments.told import left_out

    if parameters and tasks:
        raise UserError(
            "Numbers are tasks of their own.", where="--parameter and --task", fix="Say one of the two: --parameter X"
        )
    recipe = recipe_of_rows(choice)
    for name in methods:
        one_of("method", name, [each.name for each in recipe.methods])
    rows = cast(recipe, methods, alone)
    stages = [evaluations(choice, each.name, seed if each.seeded else 0, tasks) for each in rows]
    lasts = [{stage.task: stage for stage in each} for each in stages]  # of several protocols the last
    if parameters:
        queries = [asked(next(iter(lasts[0].values())), number) for number in dict.fromkeys(parameters)]
        whom = [Asked(next(iter(each.values())), query) for query in queries for each in lasts]
    else:
        common = [name for name in lasts[0] if all(name in each for each in lasts)]
        if not common:
            acts = "; ".join(f"{row.name}: {', '.join(each)}" for row, each in zip(rows, lasts, strict=True))
            raise UserError(
                "There is no task that all of these rows can act in.",
                where=acts,
                fix="Name other rows with --method, or film each with --alone.",
            )
        whom = [Asked(each[name], None) for name in common for each in lasts]
    if len(whom) > LARGEST_GRID:
        raise UserError(
            f"{len(whom)} episodes are asked for; a film shows {LARGEST_GRID}.",
            where=f"{len(whom) // len(rows)} tasks x {len(rows)} methods",
            fix="Name some tasks with --task, or some methods with --method and --alone.",
        )
    asked_for = [] if parameters else tasks or recipe.all_tasks
    return whom, [each for own in stages for each in left_out(own, asked_for)]


def _check(asked: list[Asked], camera: str) -> None:
    """Refuse before any work what cannot be drawn (`UserError`)."""
    from hyprepro.domains.camera import check_camera
    from hyprepro.domains.rendering import visible

    stage, query = asked[0]
    domain = stage.data.domain
    _, physics = visible(domain, query.task if query else stage.task)
    check_camera(physics.model, camera or domain.camera)


def _shot(asked: Asked, cache: ArtifactCache, policy: int, whole: bool) -> Shot:
    """One episode, run and taped; none where no expert is stored for a number of the user's."""
    from hyprepro.experiments.film import Shot, shoot, subject
    from hyprepro.methods.ceilings import Expert

    stage, data = asked.stage, asked.stage.data
    inputs = {name: cache.path_of(source) for name, source in stage.inputs.items()}
    if asked.query is None:
        query = data.domain.query(data, stage.task, stage.prompts, stage.prompt_split)
        return shoot(stage, query, stage.deployed(inputs), policy, whole)
    with data.open_policies() as store:
        is_stored = asked.query.task in store.tasks
    if isinstance(stage.method, Expert) and not is_stored:
        words = subject(data.domain, asked.query, policy)
        return Shot(stage.method.name, asked.query.task, policy, words, data.domain)
    trained = None if stage.trained is None else stage.trained.load(inputs["trained"])
    controllers = stage.method.deploy(trained, data, asked.query, stage.seed)
    return shoot(stage, asked.query, controllers, policy, whole)


def _square(count: int) -> int:
    """Pictures in a row of a grid that is about as wide as high."""
    return next(number for number in range(1, count + 1) if number * number >= count)


def _write(screen: Screen, out: list[Path], every: int | None, moments: int, quiet: bool) -> None:
    """Draw and write the film, once for all its files, and the stills."""
    from hyprepro.experiments.film import FRAME_SECONDS
    from hyprepro.reports.film.files import STILL, Reel, write_still

    stills = [path for path in out if path.suffix.lower() == STILL]
    films = [path for path in out if path not in stills]
    if films:
        step = every or max(round(FRAME_SECONDS / screen.seconds), 1)
        schedule, said = screen.schedule(step), time.monotonic()
        height, width, _ = screen.frame(0).shape
        with Reel(films, (width, height), step * screen.seconds, len(schedule)) as reel:
            for number, frame in enumerate(screen.frames(step)):
                reel.add(frame)
                if not quiet and time.monotonic() - said > PLAIN_SECONDS:
                    said = time.monotonic()
                    console.note(f"Drawn: {number + 1} of {len(schedule)} frames")
    if stills:
        picture = screen.still(moments)
        for path in stills:
            write_still(path, picture)


def _tell(shots: list[Shot], out: list[Path], left: list[LeftOut], json: bool) -> None:
    """What was filmed and where it is."""
    if json:
        episodes = [
            {
                "task": shot.task,
                "method": shot.title,
                "policy": shot.policy,
                "steps": shot.steps,
                "success": shot.outcome.success if shot.outcome else None,
                "success_step": shot.outcome.steps if shot.outcome and shot.outcome.success else None,
                "held": shot.outcome.held if shot.outcome else None,
                "return": shot.tape.totals[-1] if shot.tape else None,
            }
            for shot in shots
        ]
        without = [each._asdict() for each in left]
        console.print_json({"files": [str(path) for path in out], "episodes": episodes, "left_out": without})
        return
    console.columns([shot.caption(shot.steps) for shot in shots], indent=0)
    for path in out:
        console.note(f"Written to {path}")
