"""The arguments that several commands share, declared once so that they read the same everywhere; what they name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyprepro.cli import completion
from hyprepro.errors import UserError, closest_match, refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hyprepro.domains.base import Domain
    from hyprepro.engine.executors import Executor

DEVICES = ("cpu", "cuda")
EXECUTORS = ("local", "ray", "slurm")
DEFAULT_WORKERS = 2

RecipeArgument = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE", help="A shipped recipe (table1) or a gin file.", autocompletion=completion.shipped("recipes")
    ),
]
ScaleOption = Annotated[
    str | None,
    typer.Option(
        "--scale",
        metavar="NAME",
        help="smoke, desktop, paper, or a gin file. A recipe of your own goes before the default one.",
        autocompletion=completion.shipped("scales"),
        show_default="desktop",
    ),
]
VariantOption = Annotated[
    str | None,
    typer.Option(
        "--variant",
        metavar="NAME",
        help="How disputed points are settled: ours, paper, released, or a gin file.",
        autocompletion=completion.shipped("variants"),
        show_default="as in the recipe",
    ),
]
SeedsOption = Annotated[
    int | None, typer.Option("--seeds", metavar="N", help="Generator seeds to train.", show_default="as the scale says")
]
BindingsOption = Annotated[
    list[str] | None,
    typer.Option(
        "-b",
        "--bind",
        metavar="BINDING",
        help="One gin binding, 'Component.field=value'. May be repeated.",
        autocompletion=completion.bindings,
    ),
]
FilesOption = Annotated[
    list[Path] | None,
    typer.Option("-g", "--gin", metavar="FILE", help="A gin file applied after the scale. May be repeated."),
]
DomainOption = Annotated[
    str | None,
    typer.Option(
        "--domain",
        metavar="NAME",
        help="What the tasks are of: a domain of hyprepro list, or a gin file that binds one, such as your own.",
        show_default="the domain that has them all",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document for programs.")]
CacheOption = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        metavar="DIR",
        help="Where finished stages are kept.",
        envvar="HYPREPRO_CACHE",
        show_default=".hyprepro",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=0,
        help="Worker processes; 0 runs in this one.",
        show_default="2; with ray, the cluster's processors; with slurm, 32 jobs",
    ),
]
ExecutorOption = Annotated[
    str,
    typer.Option(
        "--executor",
        metavar="NAME",
        help="Where stages run: local, or on many machines: ray, slurm.",
        autocompletion=completion.one_of(*EXECUTORS),
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="The Ray cluster: HOST:PORT or auto. With slurm: local, for jobs on this machine.",
        show_default="RAY_ADDRESS, else this machine",
    ),
]
JobOption = Annotated[
    list[str] | None,
    typer.Option(
        "--job",
        metavar="NAME=VALUE",
        help="What a Slurm job asks for, such as partition=cpu, minutes=240, memory_gb=4. May be repeated.",
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help="Where networks are trained: cpu or cuda.",
        envvar="HYPREPRO_DEVICE",
        autocompletion=completion.one_of(*DEVICES),
        show_default="cpu",
    ),
]


def choose_executor(
    name: str,
    address: str | None,
    workers: int | None,
    device: str | None = None,
    job: Sequence[str] | None = None,
) -> Executor:
    """Where stages run: `--executor`, `--address`, `--workers` and `--job`; `--device` says on what they compute.

    Raises:
        UserError: An unknown executor or device, one that cannot be used here, or flags that do not fit together.
    """
    _use_device(device)
    refuse_unknown(name, EXECUTORS, f"There is no executor named {name!r}.", f"--executor {name}")
    if job and name != "slurm":
        raise UserError("Only Slurm's jobs are asked for.", where=f"--job {job[0]}", fix="Say: --executor slurm")
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
            f"With {name.capitalize()}, no stage runs in this process.",
            where="--workers 0",
            fix="Leave out --workers, or --executor.",
        )
    if name == "slurm":
        from hyprepro.engine.slurm import SlurmJobs

        return SlurmJobs(address, workers, job or ())
    from hyprepro.engine.ray import RayCluster

    return RayCluster(address, workers)


def _use_device(name: str | None) -> None:
    """Make this process and its workers compute on a device; None leaves what the environment says."""
    from hyprepro.engine.stage import DEVICE_VARIABLE

    if name is None:
        return
    refuse_unknown(name, DEVICES, f"There is no device named {name!r}.", f"--device {name}", "Choose cpu or cuda.")
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


def result_file(name: str) -> Path | None:
    """The result.json that an argument names, itself or by its folder; None for what can only be a recipe.

    Raises:
        UserError: It can only be meant as the place of a result, and there is none.
    """
    from hyprepro.reports.reading import RESULT

    path = Path(name)
    if path.is_dir() or path.name == RESULT:
        return path / RESULT if path.is_dir() else path
    refuse_missing_result(name)
    return None


def refuse_missing_result(name: str) -> None:
    """Refuse a name that can only be meant as the place of a result, where there is none; not a recipe's name.

    Raises:
        UserError: It is a path, and not that of a gin file.
    """
    from hyprepro.config import files
    from hyprepro.reports.reading import MAKE

    if os.sep in name and not name.partition("@")[0].endswith(files.SUFFIX):
        raise UserError("There is no result here.", where=name, fix=MAKE)
