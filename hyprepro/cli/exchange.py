"""`hyprepro store import-... / export-...`: other people's policies and episodes in, ours out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hyprepro.cli import console
from hyprepro.cli.arguments import DomainOption, JsonOption, chosen_domain
from hyprepro.errors import UserError

if TYPE_CHECKING:
    from hyprepro.domains.base import Domain

StoreArgument = Annotated[Path, typer.Argument(metavar="STORE", help="The store (HDF5).")]
OutStoreOption = Annotated[
    Path, typer.Option("--out", metavar="FILE", help="The policy store to write; must not exist.")
]


def import_maa(
    out: OutStoreOption,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", help="Training data: data.pt or <task>.pt, unprocessed.")
    ] = None,
    test: Annotated[
        list[Path] | None, typer.Option("--test", metavar="FILE", help="Unprocessed test data. May be repeated.")
    ] = None,
    trajectories_out: Annotated[
        Path | None, typer.Option("--trajectories-out", metavar="FILE", help="Write the prompts into this store.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option("--task", metavar="NAME", help="The task of all files.", show_default="each file's name"),
    ] = None,
    weights: Annotated[
        Literal["float16", "float32"], typer.Option("--weights", help="float16 halves the store.")
    ] = "float32",
    json: JsonOption = False,
) -> None:
    """Read Make-An-Agent's published files into a policy store and, if asked for, a store of their prompts.

    data.pt mixes tasks without labels: its policies are filed under --task, or "unlabelled". Nothing is unpickled.
    """
    from hyprepro.domains.metaworld import maa

    parts = maa.plan(files or [], test or [], task)
    counts = maa.import_maa(parts, out, trajectories_out, weights)
    if json:
        console.print_json({"out": str(out), "tasks": counts})
        return
    console.columns([(name, ", ".join(f"{n} {split}" for split, n in c.items())) for name, c in counts.items()])
    console.line(f"{out}: {sum(sum(c.values()) for c in counts.values())} policies; success rates are unknown")
    if trajectories_out is not None:
        console.line(f"{trajectories_out}: their prompts")


def import_sb3(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="What model.save wrote; with --conditions one folder of such.")
    ],
    out: OutStoreOption,
    task: Annotated[str | None, typer.Option("--task", metavar="NAME", help="The task of all files.")] = None,
    conditions: Annotated[
        Path | None,
        typer.Option(
            "--conditions",
            metavar="CSV",
            help="The task of each file of the folder: columns file,task, or file and the domain's numbers.",
        ),
    ] = None,
    domain: DomainOption = None,
    trained_here: Annotated[
        bool,
        typer.Option("--trained-here", help="The installed simulator trained them; else it is recorded as unknown."),
    ] = False,
) -> None:
    """Read actors of stable-baselines3's SAC, TD3 or PPO (MlpPolicy) into a policy store. Nothing is unpickled.

    Any sizes and two hidden layers or more, the same for all files of a store; the bounds of actions are kept.

    What wrapped the environment in training is not in the files: an agent whose observations were normalised or scaled
    (VecNormalize, NormalizeObservation, RescaleObservation) needs that here too, and is another policy without.
    """
    from hyprepro.domains.catalogue import domain_of
    from hyprepro.stores.exchange import sb3

    if (task is None) == (conditions is None):
        raise UserError(
            "Either --task names the task of all files, or --conditions a table with that of each.",
            where="hyprepro store import-sb3",
            fix="--task NAME, or --conditions FILE.csv",
        )
    known = chosen_domain(domain)
    tasks = [task or ""] * len(files)
    if conditions is not None:
        files, tasks = _conditioned(files, conditions, known)
    count = sb3.import_sb3(files, out, tasks, trained_here, known or domain_of(tasks))
    of = task or f"{len(set(tasks))} tasks"
    console.line(f"{out}: {count} policies of {of}; success rates and returns are unknown")
    console.line("taken to act on plain observations: a file does not tell whether VecNormalize normalised them")


def _conditioned(files: list[Path], table: Path, domain: Domain | None) -> tuple[list[Path], list[str]]:
    """The files of a folder and their tasks (`UserError` if it is not one folder, or the domain has no numbers)."""
    from hyprepro.domains.parameter import ParameterDomain
    from hyprepro.stores.exchange.conditions import read_conditions

    if domain is not None and not isinstance(domain, ParameterDomain):
        raise UserError(
            f"{domain.title} tells its tasks by a {domain.told}, not by numbers.",
            where="--domain",
            fix="leave out --domain, and name tasks in the table: file,task",
        )
    if len(files) != 1:
        raise UserError("--conditions goes with one folder.", where=f"{len(files)} paths", fix="name the folder alone")
    return read_conditions(table, files[0], domain)


def export_sb3(
    store: StoreArgument,
    task: Annotated[str, typer.Option("--task", metavar="NAME", help="The policy's task.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The zip file to write; must not exist.")],
    row: Annotated[int, typer.Option("--row", metavar="N", min=0, help="The policy's row in its task.")] = 0,
) -> None:
    """Write one policy for stable-baselines3: SAC.load gives the same deterministic actions. Critics are untrained."""
    from hyprepro.domains.catalogue import task_spec
    from hyprepro.stores.exchange import sb3
    from hyprepro.stores.policy_store import PolicyStore

    with PolicyStore.open(store) as policies:
        sizes = policies.layout.observation_size, policies.layout.action_size
        sb3.export_sb3(policies, task, row, out, task_spec(task, sizes))
    console.line(f'{out}: {task}, row {row}; from stable_baselines3 import SAC; SAC.load("{out}", device="cpu")')


def export_minari(
    store: StoreArgument,
    out: Annotated[Path, typer.Option("--out", metavar="DIR/NAME", help="Minari's root and the datasets' namespace.")],
    split: Annotated[
        Literal["train", "validation", "test"] | None,
        typer.Option("--split", help="One split only.", show_default="all"),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write recorded episodes as Minari datasets, one a task."""
    from hyprepro.domains.catalogue import task_spec
    from hyprepro.stores.exchange import minari
    from hyprepro.stores.trajectory_store import TrajectoryStore

    with TrajectoryStore.open(store) as trajectories:
        sizes = trajectories.observation_size, trajectories.action_size
        counts = minari.export_minari(trajectories, out, split, lambda task: task_spec(task, sizes))
    if json:
        console.print_json({"root": str(out.parent), "datasets": counts})
        return
    console.columns([(name, f"{count} episodes") for name, count in counts.items()])
    console.line(
        f'MINARI_DATASETS_PATH={out.parent.resolve()} and minari.load_dataset("{next(iter(counts))}") open one'
    )
