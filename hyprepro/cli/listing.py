"""`hyprepro list`: what there is to run and to swap."""

from __future__ import annotations

from hyprepro.cli import console
from hyprepro.cli.arguments import JsonOption


def list_(json: JsonOption = False) -> None:
    """Show the recipes, scales, variants, and the components by slot."""
    from hyprepro.config import catalogue, files

    slots = catalogue.listed()
    kinds = {kind: {name: files.purpose(path) for name, path in files.shipped(kind).items()} for kind in files.KINDS}
    if json:
        console.print_json({**kinds, "components": slots})
        return
    for kind, found in kinds.items():
        console.line(kind.capitalize(), style="bold")
        console.columns(found.items())
    console.line("Components by slot", style="bold")
    for slot, components in slots.items():
        console.line(f"  {slot}", style="bold")
        console.columns(components.items(), indent=4)
    console.line()
    console.line("Fields of a component, or values of a recipe: hyprepro explain NAME")
