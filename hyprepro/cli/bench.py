"""`hyprepro bench`: one object with ours, the peer, their ratio, and the share of the physical bound."""

from __future__ import annotations

from typing import Annotated

import typer

from hyprepro.cli import console
from hyprepro.cli.arguments import JsonOption

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
    """The whole evaluation against bare `env.step` calls: environment steps a second, same episodes."""
    from hyprepro.evaluation.benchmark import measure_evaluation

    found = {"name": "evaluation", "unit": "env-steps/s", **measure_evaluation(task, episodes, rounds)}
    if json:
        console.print_json(found)
        return
    console.line(f"evaluation    {found['ours']:8.1f} env-steps/s")
    console.line(f"bare env.step {found['peer']:8.1f} env-steps/s   share {found['ratio']}")
