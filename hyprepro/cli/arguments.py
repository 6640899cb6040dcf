"""The arguments that several commands share, declared once so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hyprepro.cli import completion

RecipeArgument = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE", help="A shipped recipe (table1) or a gin file.", autocompletion=completion.recipes
    ),
]
ScaleOption = Annotated[
    str | None,
    typer.Option(
        "--scale",
        metavar="NAME",
        help="smoke, desktop, paper, or a gin file. A recipe of your own goes before the default one.",
        autocompletion=completion.scales,
        show_default="desktop",
    ),
]
VariantOption = Annotated[
    str | None,
    typer.Option(
        "--variant",
        metavar="NAME",
        help="How disputed points are settled: ours, paper, released, or a gin file.",
        autocompletion=completion.variants,
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
        show_default="2; with ray, the cluster's processors",
    ),
]
ExecutorOption = Annotated[
    str,
    typer.Option(
        "--executor",
        metavar="NAME",
        help="Where stages run: local or ray (many machines).",
        autocompletion=completion.one_of("local", "ray"),
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="The Ray cluster: HOST:PORT or auto.",
        show_default="RAY_ADDRESS, else this machine",
    ),
]

DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help="Where networks are trained: cpu or cuda.",
        envvar="HYPREPRO_DEVICE",
        autocompletion=completion.one_of("cpu", "cuda"),
        show_default="cpu",
    ),
]

DEFAULT_SCALE = "desktop"
"""The scale where none is asked for."""
