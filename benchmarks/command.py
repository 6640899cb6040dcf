"""`hyprepro bench`: one object with ours, the peer, their ratio, and the share of the physical bound."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from hyprepro.cli import completion, console
from hyprepro.cli.arguments import CacheOption, JsonOption, WorkersOption
from hyprepro.errors import UserError, closest_match

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from hyprepro.experiments.recipe import Recipe
    from hyprepro.methods.gen_hyprl import GenHypRL
    from hyprepro.methods.hypernetwork import WritingMethod
    from hyprepro.methods.make_an_agent import MakeAnAgent


def _tasks() -> list[completion.Offer]:
    """The tasks of Meta-World, with their part in the paper's split."""
    from hyprepro.domains.metaworld.tasks import SEEN_TASKS, TASKS, UNSEEN_TASKS

    split = dict.fromkeys(SEEN_TASKS, "seen") | dict.fromkeys(UNSEEN_TASKS, "unseen")
    return [(task, split.get(task, "")) for task in TASKS]


bench = typer.Typer(help="Measure speed against a peer, both in turn in the same run.", no_args_is_help=True)

AgentsOption = Annotated[int, typer.Option("--agents", min=1, help="Agents trained as one stack.")]
BatchOption = Annotated[
    int | None, typer.Option("--batch", min=1, help="Transitions an update and agent.", show_default="the variant's")
]
VariantOption = Annotated[
    list[str] | None,
    typer.Option("--variant", help="128-wide, 64-wide or 256-wide; may be repeated.", show_default="all three"),
]
RoundsOption = Annotated[int, typer.Option("--rounds", min=1, help="Turns of each contestant.")]
SecondsOption = Annotated[float, typer.Option("--seconds", min=0.01, help="Length of a turn.")]


@bench.command()
def collector(
    variant: VariantOption = None,
    agents: AgentsOption = 16,
    batch: BatchOption = None,
    rounds: RoundsOption = 5,
    seconds: SecondsOption = 1.0,
    training: Annotated[
        bool, typer.Option("--training", help="The whole training from scratch, simulation included, instead.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """The batched SAC collector against stable-baselines3: agent-updates a second, same networks and batch.

    One thread, in its processor time. The first variant is the headline; the others are under `variants`.
    """
    from dataclasses import replace

    from benchmarks.collector import VARIANTS, measure_collector, measure_training

    if training:
        if variant or batch is not None:
            raise UserError(
                "--training has networks and batch of its own: 128 wide, 128 transitions.",
                where="--variant" if variant else "--batch",
                fix="leave it out, or leave out --training",
            )
        whole = measure_training(agents, rounds)
        if json:
            console.print_json({"name": "training", "unit": "env-steps/s", **whole})
            return
        console.line(f"training from scratch, a quarter of an update a step, {agents} agents (env-steps a second)")
        console.line(f"  batched           {whole['ours']:8.1f}   ratio {whole['ours_ratio']}")
        console.line(f"  in bfloat16       {whole['bfloat16']:8.1f}   ratio {whole['bfloat16_ratio']}")
        console.line(f"  stable-baselines3 {whole['peer']:8.1f}")
        return
    names = [_known(name, VARIANTS) for name in variant or VARIANTS]
    found: dict[str, Any] = {}
    for name in names:
        chosen = VARIANTS[name] if batch is None else replace(VARIANTS[name], batch_size=batch)
        found[name] = measure_collector(chosen, agents, rounds, seconds)
    if json:
        console.print_json({"name": "collector", "unit": "agent-updates/s", **found[names[0]], "variants": found})
        return
    for name, each in found.items():
        console.line(f"{name}, batch {each['batch_size']}, {agents} agents (agent-updates a second)")
        console.line(f"  batched               {each['ours']:8.1f}   in bfloat16 {each['bfloat16']}")
        console.line(f"  stable-baselines3     {each['peer']:8.1f}   ratio {each['ratio']}")
        console.line(f"  matrix products alone {each['bound']:8.1f}   share {each['bound_share']}")
        parts = ", ".join(f"{part} {value:.0f}" for part, value in each["parts"].items())
        console.line(f"  microseconds an agent-update: {parts}")


def _known(name: str, known: Collection[str], kind: str = "variant") -> str:
    """A name that is known (`UserError` with the closest if there is none such)."""
    if name not in known:
        raise UserError(
            f"There is no {kind} {name!r}.", closest=closest_match(name, known), fix=f"one of {', '.join(known)}"
        )
    return name


@bench.command()
def evaluation(
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task",
            help="A Meta-World task. May be repeated.",
            show_default="all eighteen, minutes",
            autocompletion=_tasks,
        ),
    ] = None,
    episodes: Annotated[int, typer.Option("--episodes", min=1, help="Episodes of 500 steps a round and task.")] = 4,
    rounds: RoundsOption = 5,
    envpool: Annotated[
        bool, typer.Option("--envpool", help="Instead against EnvPool's C++ Meta-World, both given random actions.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """The whole evaluation against bare `env.step`, bare MuJoCo calls and a loop of single policies: steps a second.

    Random policies, which fail after 500 steps; the processor time of one core, resets not counted.
    """
    if envpool:
        _against_envpool(task or (), episodes, rounds, json)
        return
    from benchmarks.evaluation import measure_evaluation

    found = {"name": "evaluation", "unit": "env-steps/s", **measure_evaluation(task or (), episodes, rounds)}
    if json:
        console.print_json(found)
        return
    for name, each in found["tasks"].items():
        ratios = f"{each['ratio']:6.2f} {each['bound_share']:6.3f}"
        console.line(f"{name:18} {each['ours']:8.1f} {each['peer']:8.1f} {each['bound']:8.1f} {ratios}")
    console.line(f"evaluation    {found['ours']:8.1f} env-steps/s")
    console.line(
        f"bare env.step {found['peer']:8.1f} env-steps/s   ratio {found['ratio']}, least {found['least_ratio']}"
    )
    least = found["least_bound_share"]
    console.line(f"bare MuJoCo   {found['bound']:8.1f} env-steps/s   share {found['bound_share']}, least {least}")
    console.line(f"one at a time {found['loop']:8.1f} env-steps/s   ratio {found['loop_ratio']}")


def _against_envpool(tasks: Sequence[str], episodes: int, rounds: int, json: bool) -> None:
    """Print our stepper beside EnvPool's, and that they are not the same simulation."""
    from benchmarks.envpool import measure_envpool

    def show(task: str, each: dict[str, Any]) -> None:
        if not json:
            peer = f"{each['peer']:8.1f} ({each['peer_environments']:2} at once)"
            console.line(f"{task:18} {each['ours']:8.1f} {peer} {each['ratio']:6.2f}")

    found = {"name": "envpool", "unit": "env-steps/s", **measure_envpool(tasks, episodes, rounds, show)}
    if json:
        console.print_json(found)
    else:
        _show_envpool(found)
    if found["died"]:
        raise typer.Exit(1)


def _show_envpool(found: dict[str, Any]) -> None:
    """The means, and what is missing from them."""
    for task in found["lacking"]:
        console.line(f"{task:18} EnvPool has no such task")
    for task, code in found["died"].items():
        console.line(f"{task:18} its process ended with code {code} and without figures")
    console.line(f"EnvPool       {found['peer']:8.1f} env-steps/s a core")
    for label, name, ratio in (
        ("ours", "ours", f"{found['ratio']}, least {found['least_ratio']}"),
        ("with rewards", "rewards", found["rewards_ratio"]),
        ("with policies", "policy", found["policy_ratio"]),
    ):
        console.line(f"{label:13} {found[name]:8.1f} env-steps/s a core   ratio {ratio}")
    version = found["versions"]
    console.line(f"ours: metaworld {version['metaworld']} on MuJoCo {version['mujoco']}")
    console.line(
        f"EnvPool {version['envpool']}: its own C++ on its own MuJoCo {version['envpool_mujoco']}, "
        "goals of its own, rewards always"
    )


@bench.command()
def learning(
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task",
            help="A Meta-World task, or velocity-0.750. May be repeated.",
            show_default="three tasks, two velocities",
            autocompletion=_tasks,
        ),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Agents of each task and trainer.")] = 3,
    updates: Annotated[
        int | None,
        typer.Option(
            "--updates",
            min=1,
            help="Gradient steps an agent, one an env step.",
            show_default="5,000; at a velocity 20,000",
        ),
    ] = None,
    points: Annotated[
        int, typer.Option("--points", min=1, help="Tests of each agent after the one at the start.")
    ] = 10,
    episodes: Annotated[int, typer.Option("--episodes", min=1, help="Episodes of a test, the same for all.")] = 5,
    products: Annotated[
        str, typer.Option("--products", help="Of the batched trainer: float32 or bfloat16.")
    ] = "float32",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Also write result.json and the figure there.")
    ] = None,
    workers: WorkersOption = None,
    cache: CacheOption = None,
    json: JsonOption = False,
) -> None:
    """Whether the batched collector learns what stable-baselines3 does: both train from random weights, same settings.

    Finished runs are kept in the cache. Exit code 1 if any 95% intervals do not overlap.
    """
    from benchmarks.learning_command import TASKS, compare, show, write

    found = compare(tuple(task or TASKS), seeds, updates, points, episodes, products, workers, cache)
    if out is not None:
        write(found, out)
    if json:
        console.print_json(found)
    else:
        show(found)
    if not found["overlaps"]:
        raise typer.Exit(1)


@bench.command()
def store(
    policies: Annotated[int, typer.Option("--policies", min=1, help="Policies of the smallest store.")] = 20,
    factor: Annotated[
        list[int] | None, typer.Option("--factor", min=1, help="Sizes in multiples; may be repeated.")
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=2, help="Policies a batch.")] = 32,
    batches: Annotated[int, typer.Option("--batches", min=1, help="Batches read from each store.")] = 20,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Training steps of each contestant.")] = 200,
    json: JsonOption = False,
) -> None:
    """Random batches from a growing store: peak memory (1, 10 and 100 times), and training time against memory."""
    from benchmarks.store import measure_store

    found = {
        "name": "store",
        "unit": "steps/s",
        **measure_store(policies, factor or [1, 10, 100], batch, batches, rounds),
    }
    if json:
        console.print_json(found)
        return
    for times, peak in found["memory_mb"].items():
        console.line(f"{times:>4} times: peak {peak:8.1f} MB, its policies {found['policies_mb'][times]:8.1f} MB")
    console.line(f"training from the store {found['ours']:8.2f} steps/s")
    console.line(f"training from memory    {found['peer']:8.2f} steps/s   ratio {found['ratio']}")


@bench.command()
def generation(
    prompts: Annotated[int, typer.Option("--prompts", min=1, help="Policies generated a turn.")] = 100,
    rounds: RoundsOption = 3,
    scale: Annotated[
        list[str] | None, typer.Option("--scale", help="Sizes: paper (default, the headline), desktop (default), ...")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Gen-HypRL's whole forward pass against Make-An-Agent's: policies a second, same prompts, same decoder.

    HyperZero and HyPoGen, which decode nothing, write policies of the same layout beside them. The first scale is the
    headline; `released` is Gen-HypRL with the released code's networks at that scale.
    """
    from benchmarks.generation import measure_generation

    first, *others = scale or ["paper", "desktop"]
    found: dict[str, Any] = {"name": "generation", "unit": "policies/s", "prompts": prompts, "scale": first}
    found |= measure_generation(*_generators(first), prompts, rounds)
    found |= {name: measure_generation(*_generators(name), prompts, rounds) for name in others}
    found["released"] = measure_generation(*_generators(first, "released"), prompts, rounds)
    if json:
        console.print_json(found)
        return
    for name in (first, *others, "released"):
        each = found if name == first else found[name]
        console.line(f"{name}, D = {each['latent_size']}")
        console.line(f"  gen-hyprl, L = {each['candidates']:<6}{each['ours']:8.1f} policies/s   ratio {each['ratio']}")
        console.line(f"  its products alone {each['bound']:8.1f} policies/s   share {each['bound_share']}")
        console.line(f"  make-an-agent      {each['peer']:8.1f} policies/s")
        for method, speed in each["further"].items():
            console.line(f"  {method:18} {speed:8.1f} policies/s")


@bench.command()
def film(
    task: Annotated[str, typer.Option("--task", help="A task of any domain.")] = "door-open",
    steps: Annotated[int, typer.Option("--steps", min=1, help="Steps of the episode, a frame each.")] = 500,
    width: Annotated[int, typer.Option("--width", min=64, max=640, help="Pixels across a picture.")] = 240,
    rounds: RoundsOption = 1,
    json: JsonOption = False,
) -> None:
    """Film of one episode, captions and MP4 included, against bare steps with gymnasium's pictures: frames a second."""
    from benchmarks.film import measure_film
    from hyprepro.domains.catalogue import domain_of

    domain = domain_of([task])
    if domain is None:
        raise UserError(f"No domain has a task {task!r}.", where=f"--task {task}", fix="for instance: door-open")
    found = {"name": "film", "unit": "frames/s", **measure_film(domain, task, steps, width, rounds)}
    if json:
        console.print_json(found)
        return
    console.line(f"film           {found['ours']:8.2f} frames/s   {found['times']} times the time of")
    console.line(f"bare rendering {found['peer']:8.2f} frames/s   by {found['renderer']}")


@bench.command()
def adaptation(
    task: Annotated[str, typer.Option("--task", help="A Meta-World task.", autocompletion=_tasks)] = "reach-wall",
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="Of its rows.", show_default="the plain fit and three others")
    ] = None,
    prompts: Annotated[int, typer.Option("--prompts", min=1, help="Prompts, all adapted at once.")] = 20,
    rounds: RoundsOption = 3,
    cache: CacheOption = None,
    json: JsonOption = False,
) -> None:
    """Fits to prompts: seconds of a processor and memory a prompt, each adaptation in turn."""
    from benchmarks.adaptation import ADAPTATIONS, PEER, measure_adaptation, rows_of
    from hyprepro.domains.metaworld.domain import MetaWorld
    from hyprepro.experiments.choice import choose, open_cache

    data, fits = (MetaWorld().data(), ADAPTATIONS) if recipe is None else rows_of(choose(recipe, "desktop"))
    found = measure_adaptation(data, fits, task, prompts, rounds, open_cache(cache))
    if json:
        console.print_json({"name": "adaptation", "unit": "s/prompt", "peer": PEER, "prompts": prompts, **found})
        return
    width = max(map(len, found))
    for name, each in found.items():
        figures = f"{each['seconds']:7.3f} s {each['megabytes']:7.2f} MB a prompt   {each['times']} times"
        console.line(f"{name:{width}} {figures}")


@bench.command()
def multitask(
    method: Annotated[
        list[str] | None, typer.Option("--method", help="A row of the recipe; may be repeated.", show_default="all")
    ] = None,
    tasks: Annotated[int, typer.Option("--tasks", min=2, help="Tasks of one policy.")] = 10,
    scale: Annotated[str, typer.Option("--scale", help="Sizes of the networks and the batch.")] = "desktop",
    rounds: RoundsOption = 3,
    seconds: SecondsOption = 1.0,
    json: JsonOption = False,
) -> None:
    """Multi-task SAC: updates a second of every row of `run multitask`, and of the matrix products of its update alone.

    One thread, in its processor time. The first row is the headline; all are under `methods`, with the memory of a
    training: networks with moments, what an update keeps for its way back, transitions.
    """
    from benchmarks.multitask import learnings, measure_multitask

    rows = learnings(scale)
    chosen = {name: rows[_known(name, rows, "method")] for name in method} if method else rows
    found = measure_multitask(chosen, tasks, rounds, seconds)
    if json:
        first = next(iter(found.values()))
        console.print_json({"name": "multitask", "unit": "updates/s", "tasks": tasks, **first, "methods": found})
        return
    console.line(f"{tasks} tasks, {scale}: updates a second, of products alone, times; MB of state, saved, replay")
    for name, each in found.items():
        speeds = f"{each['ours']:7.1f} {each['bound']:7.1f} {each['times']:5.2f}"
        console.line(f"{name:20} {speeds} {each['state_mb']:7.1f} {each['saved_mb']:7.1f} {each['replay_mb']:7.1f}")


@bench.command()
def startup(
    against: Annotated[
        Path, typer.Option("--against", metavar="FOLDER", help="The other checkout, such as a worktree of a commit.")
    ],
    rounds: RoundsOption = 11,
    json: JsonOption = False,
) -> None:
    """Help, completion, the list and a dry run beside another checkout's: processor seconds, both in turn."""
    from benchmarks.startup import measure_startup

    found = measure_startup(against, rounds)
    if json:
        console.print_json({"name": "startup", "unit": "s", "rounds": rounds, "commands": found})
        return
    for name, each in found.items():
        console.line(f"{name:20} {each['ours']:7.3f} s   there {each['peer']:7.3f} s   ratio {each['ratio']:.3f}")


def _generators(scale: str, variant: str | None = None) -> tuple[GenHypRL, MakeAnAgent, Sequence[WritingMethod]]:
    """The methods as the shipped files describe them at a scale, all writing policies of the stored layout."""
    from hyprepro.config.registry import resolve

    resolved = resolve(
        "table1",
        scale,
        variant,
        [
            "Recipe.methods=(@GenHypRL(), @MakeAnAgent(), @HyperZero(), @HyPoGen())",
            "HyperZero.hidden=()",
            "HyPoGen.hidden=()",
        ],
        [f"components/method/{name}.gin" for name in ("make_an_agent", "hyperzero", "hypogen")],
    )
    ours, peer, *further = cast("Recipe", resolved.recipe).methods
    return cast("GenHypRL", ours), cast("MakeAnAgent", peer), cast("Sequence[WritingMethod]", further)
