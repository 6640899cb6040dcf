"""`hyprepro list`: what there is to run and to swap."""

from __future__ import annotations

from hyprepro.cli import console
from hyprepro.cli.arguments import JsonOption


def list_(json: JsonOption = False) -> None:
    """Show the recipes, scales, variants, and the components by slot."""
    from hyprepro.component import COMPONENTS
    from hyprepro.config import catalogue, files
    from hyprepro.config.describe import summary

    slots = catalogue.by_slot()
    kinds = {kind: {name: files.purpose(path) for name, path in files.shipped(kind).items()} for kind in files.KINDS}
    if json:
        components = {slot: {name: summary(COMPONENTS[name]) for name in names} for slot, names in slots.items()}
        console.print_json({**kinds, "components": components})
        return
    for kind, found in kinds.items():
        console.line(kind.capitalize(), style="bold")
        console.columns(found.items())
    console.line("Components by slot", style="bold")
    for slot, names in slots.items():
        console.line(f"  {slot}", style="bold")
        console.columns(((name, summary(COMPONENTS[name])) for name in names), indent=4)
    console.line()
    console.line("Fields of a component, or values of a recipe: hyprepro explain NAME")
