"""`hyprepro bench`: one object with ours, the peer, their ratio, and the share of the physical bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from hyprepro.cli import console
from hyprepro.cli.arguments import JsonOption

if TYPE_CHECKING:
    from hyprepro.methods.gen_hyprl import GenHypRL
    from hyprepro.methods.make_an_agent import MakeAnAgent
    from hyprepro.pipeline import Recipe

bench = typer.Typer(help="Measure speed against a peer, both in turn in the same run.", no_args_is_help=True)

AgentsOption = Annotated[int, typer.Option("--agents", min=1, help="Agents trained as one stack.")]
BatchOption = Annotated[int, typer.Option("--batch", min=1, help="Transitions an update and agent.")]
RoundsOption = Annotated[int, typer.Option("--rounds", min=1, help="Turns of each contestant.")]
SecondsOption = Annotated[float, typer.Option("--seconds", min=0.01, help="Length of a turn.")]


@bench.command()
def collector(
    agents: AgentsOption = 16,
    batch: BatchOption = 128,
    rounds: RoundsOption = 5,
    seconds: SecondsOption = 2.0,
    json: JsonOption = False,
) -> None:
    """The batched SAC collector against stable-baselines3: agent-updates a second, same networks and batch."""
    from hyprepro.collectors.benchmark import measure_collector

    found = measure_collector(agents, batch, rounds, seconds)
    if json:
        console.print_json(found)
        return
    console.line(f"batched, {agents} agents   {found['ours']:8.1f} agent-updates/s")
    console.line(f"stable-baselines3     {found['peer']:8.1f} agent-updates/s   ratio {found['ratio']}")
    console.line(f"matrix products alone {found['bound']:8.1f} agent-updates/s   share {found['bound_share']}")


@bench.command()
def evaluation(
    task: Annotated[str, typer.Option("--task", help="The Meta-World task.")] = "reach",
    episodes: Annotated[int, typer.Option("--episodes", min=1, help="Episodes of 500 steps a round.")] = 16,
    rounds: RoundsOption = 5,
    json: JsonOption = False,
) -> None:
    """The whole evaluation against bare `env.step` calls, and a loop of single policies: steps a second."""
    from hyprepro.evaluation.benchmark import measure_evaluation

    found = {"name": "evaluation", "unit": "env-steps/s", **measure_evaluation(task, episodes, rounds)}
    if json:
        console.print_json(found)
        return
    console.line(f"evaluation    {found['ours']:8.1f} env-steps/s")
    console.line(f"bare env.step {found['peer']:8.1f} env-steps/s   share {found['ratio']}")
    console.line(f"one at a time {found['loop']:8.1f} env-steps/s   ratio {found['loop_ratio']}")


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

    The first scale is the headline; `released` is Gen-HypRL with the released code's networks at that scale.
    """
    from hyprepro.stages.benchmark import measure_generation

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


def _generators(scale: str, variant: str | None = None) -> tuple[GenHypRL, MakeAnAgent]:
    """Both methods as the shipped files describe them at a scale."""
    from hyprepro.registry import resolve

    resolved = resolve(
        "table1",
        scale,
        variant,
        ["Recipe.methods=(@GenHypRL(), @MakeAnAgent())"],
        ["components/method/make_an_agent.gin"],
    )
    ours, peer = cast("Recipe", resolved.recipe).methods
    return cast("GenHypRL", ours), cast("MakeAnAgent", peer)
