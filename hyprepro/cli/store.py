"""`hyprepro store`: look into stores, check, measure, fetch, join and divide them, and exchange with others."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyprepro.cli import completion, console, exchange, store_views
from hyprepro.cli.arguments import DomainOption, JsonOption, chosen_domain
from hyprepro.errors import UserError

if TYPE_CHECKING:
    from hyprepro.collect.recheck import Recheck
    from hyprepro.stores.policy_store import PolicyStore

CONTRADICTED = 1

app = typer.Typer(no_args_is_help=True, help="Look into a store, check it, exchange policies and episodes with others.")

PathArgument = Annotated[Path, typer.Argument(metavar="PATH", help="A policy store or a trajectory store (HDF5).")]
PlotOption = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE", help="Also draw it: a new .png, .svg or .pdf file.")
]
TasksOption = Annotated[
    list[str] | None, typer.Option("--task", metavar="NAME", help="May be repeated.", show_default="all tasks")
]
NameOption = Annotated[
    Path, typer.Option("--out", metavar="NAME", help="Writes NAME.policies.h5, NAME.trajectories.h5 and NAME.md.")
]
PartialOption = Annotated[
    bool, typer.Option("--partial", help="Even if no run for test prompts is left, which recipes need.")
]
_STORE = "NAME of NAME.policies.h5 and NAME.trajectories.h5, or the path of either."


@app.command()
def info(path: PathArgument, json: JsonOption = False, plot: PlotOption = None, domain: DomainOption = None) -> None:
    """Show what a store holds and how it was made."""
    from hyprepro.stores.info import store_info

    found = store_info(path)
    if plot is not None:
        _plot_info(found, path, plot, domain)
    if json:
        console.print_json(found)
        return
    store_views.show_info(found)


@app.command()
def verify(
    path: PathArgument,
    json: JsonOption = False,
    rollouts: Annotated[
        int, typer.Option("--rollouts", metavar="N", min=0, help="Run N policies of each task again, on fresh goals.")
    ] = 0,
    goals: Annotated[
        int, typer.Option("--goals", metavar="N", min=1, help="With --rollouts: goals (or starts) a policy.")
    ] = 10,
    task: TasksOption = None,
    domain: DomainOption = None,
) -> None:
    """Read a whole store: every weight finite, the recorded digest right. Exit code 2 if not.

    With --rollouts, also measure success or return again: exit code 1 if it contradicts what is recorded.
    """
    from hyprepro.stores.info import open_any
    from hyprepro.stores.policy_store import PolicyStore

    with open_any(path) as store:
        problems = store.verify()
        if problems:
            raise UserError(
                f"The store is damaged: {problems[0]}.",
                where="\n".join([str(path), *problems[1:6]]),
                fix="Fetch it again (git checkout restores a bundled store), or collect it anew with: hyprepro collect",
            )
        if rollouts and not isinstance(store, PolicyStore):
            raise UserError(
                "Only policies can be run again; this is a trajectory store.",
                where=str(path),
                fix="leave out --rollouts, or name the policy store of the same collection",
            )
        found = []
        if rollouts and isinstance(store, PolicyStore):
            found = _recheck(store, rollouts, goals, task or [], domain)
        digest = store.digest
    if json:
        extra = {"rollouts": [asdict(one) for one in found]} if rollouts else {}
        console.print_json({"path": str(path), "digest": digest, "problems": problems, **extra})
    else:
        console.line(f"{path}: sound, digest {digest}")
        store_views.show_recheck(found)
    if any(one.contradicted for one in found):
        raise typer.Exit(CONTRADICTED)


@app.command()
def diversity(
    path: Annotated[Path, typer.Argument(metavar="STORE", help="A policy store.")],
    trajectories: Annotated[
        Path | None,
        typer.Option("--trajectories", metavar="STORE", help="Compare actions too, on states of this store's prompts."),
    ] = None,
    policies: Annotated[int, typer.Option("--policies", metavar="N", min=2, help="At most N of each task.")] = 60,
    states: Annotated[int, typer.Option("--states", metavar="N", min=1, help="Observations for actions.")] = 256,
    json: JsonOption = False,
    plot: PlotOption = None,
) -> None:
    """Report how different the policies of a store are: within a training run, between runs, between tasks."""
    from contextlib import nullcontext

    from hyprepro.stores import diversity as measures
    from hyprepro.stores.policy_store import PolicyStore
    from hyprepro.stores.trajectory_store import TrajectoryStore

    episodes = nullcontext() if trajectories is None else TrajectoryStore.open(trajectories)
    with PolicyStore.open(path) as store, episodes as opened:
        report = measures.to_json(measures.diversity(store, opened, policies, states))
    if plot is not None:
        from hyprepro.reports.figures.stores import plot_diversity

        plot_diversity(report, plot)
    if json:
        console.print_json(report)
        return
    store_views.show_diversity(report)


app.command("import-maa")(exchange.import_maa)
app.command("import-sb3")(exchange.import_sb3)
app.command("export-sb3")(exchange.export_sb3)
app.command("export-minari")(exchange.export_minari)


@app.command()
def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help="metaworld, metaworld-independent, metaworld-scratch, cheetah-vel.",
            autocompletion=completion.bundled,
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="PLACE",
            help="URL or folder of the files.",
            show_default="HYPREPRO_STORES, or the release's",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files go.")] = Path("stores"),
    json: JsonOption = False,
) -> None:
    """Bring bundled stores to where recipes look for them, each file held against the digest that this version pins.

    Files that are there already stay; an interrupted download goes on within the file.
    """
    from hyprepro.hub.fetch import fetch as bring
    from hyprepro.hub.fetch import files_of

    for name in names:
        files_of(name)
    found = {path: is_new for name in names for path, is_new in bring(name, out, source).items()}
    if json:
        console.print_json({"files": {str(path): is_new for path, is_new in found.items()}})
        return
    for path, is_new in found.items():
        console.line(str(path))
        console.note(f"{path.name}: {'fetched' if is_new else 'was there'}, {path.stat().st_size / 1e6:.1f} MB")


@app.command()
def merge(
    stores: Annotated[list[Path], typer.Argument(metavar="STORE", help=f"Two or more, each {_STORE}")],
    out: NameOption,
    partial: PartialOption = False,
) -> None:
    """Join collections, or the parts of one: policies, and their episodes with them. No run may stand in two of them.

    Parts of one collection (MetaWorldCollection.runs) give the very stores that the whole would have given.
    """
    from hyprepro.stores.parts import merge as joined

    _tell(joined(stores, out, partial))


@app.command()
def subset(
    store: Annotated[Path, typer.Argument(metavar="STORE", help=_STORE)],
    out: NameOption,
    task: TasksOption = None,
    run: Annotated[
        list[int] | None,
        typer.Option("--run", metavar="SEED", min=0, help="May be repeated.", show_default="all runs"),
    ] = None,
    train_runs: Annotated[
        int | None,
        typer.Option("--train-runs", metavar="N", min=1, help="The first N training runs of a task, and its others."),
    ] = None,
    policies: Annotated[
        int | None, typer.Option("--policies", metavar="N", min=1, help="The last N training policies of a run.")
    ] = None,
    partial: PartialOption = False,
) -> None:
    """Take a part of a store: tasks, runs, a number of policies of each run, and the episodes that are theirs."""
    from hyprepro.stores.parts import Wanted
    from hyprepro.stores.parts import subset as part

    _tell(part(store, out, Wanted(tuple(task or ()), tuple(run or ()), train_runs, policies), partial))


def _plot_info(found: dict[str, Any], path: Path, plot: Path, domain: str | None) -> None:
    if any(content.get("histogram") for content in found["tasks"].values()) or found["kind"] != "policy":
        from hyprepro.reports.figures.stores import plot_success

        plot_success(found, plot)
        return
    from hyprepro.reports.figures.stores import plot_returns

    plot_returns(path, plot, chosen_domain(domain))


def _recheck(store: PolicyStore, policies: int, goals: int, tasks: list[str], named: str | None) -> list[Recheck]:
    from hyprepro.collect import recheck
    from hyprepro.domains.catalogue import domain_of
    from hyprepro.domains.parameter import ParameterDomain
    from hyprepro.engine.provenance import identity_gaps, versions

    def note(task: str) -> None:
        console.note(f"running {task}")

    for name, old, new in identity_gaps(store.versions, versions()):
        console.note(f"Recorded with {name} {old}, run with {new}: a difference may come from that.")
    domain = chosen_domain(named) or domain_of(store.tasks, (store.layout.observation_size, store.layout.action_size))
    if isinstance(domain, ParameterDomain):
        return recheck.recheck_returns(domain, store, policies, goals, tasks, on_task=note)
    return recheck.recheck(store, policies, goals, tasks, on_task=note)


def _tell(written: list[Path]) -> None:
    for file in written:
        console.note(f"Written: {file}")
