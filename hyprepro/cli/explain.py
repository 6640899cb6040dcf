"""`hyprepro explain`: a component's fields, or a recipe's values and where each was set."""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyprepro.cli import console
from hyprepro.cli.arguments import DEFAULT_SCALE, BindingsOption, FilesOption, JsonOption, ScaleOption, VariantOption
from hyprepro.errors import UserError, closest_match
from hyprepro.recipe import Component

if TYPE_CHECKING:
    from hyprepro.registry import Resolved


def explain(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A component (UNet1DGenerator), a recipe, a collection.")],
    scale: ScaleOption = DEFAULT_SCALE,
    variant: VariantOption = None,
    bind: BindingsOption = None,
    gin: FilesOption = None,
    json: JsonOption = False,
) -> None:
    """Show every field of a component, or every value of a recipe with the place that set it."""
    from hyprepro.config import catalogue, files

    components = catalogue.load_components()
    if name in components:
        _explain_component(components[name], json)
        return
    recipes, collections = files.shipped("recipes"), files.shipped("collections")
    if name not in recipes and name not in collections and not name.endswith(files.SUFFIX):
        raise UserError(
            f"There is no component, recipe or collection named {name!r}.",
            where="hyprepro explain",
            closest=closest_match(name, [*components, *recipes, *collections]),
            fix="List them with: hyprepro list",
        )
    from hyprepro.registry import resolve

    if name in collections:
        resolved = resolve(collections[name], bindings=bind or (), files_=gin or (), slot="collection")
    else:
        resolved = resolve(name, scale, variant, bind or (), gin or ())
    if json:
        console.print_json({"recipe": resolved.recipe.described(), "origins": resolved.origins})
        return
    console.columns(_tree(resolved, resolved.recipe, type(resolved.recipe).__name__, "", depth=0), indent=0)


def _explain_component(cls: type[Component], json: bool) -> None:
    from hyprepro.config import files
    from hyprepro.config.describe import describe_fields, places_for

    fields = describe_fields(cls)
    uses = places_for(cls)
    shipped = [files.display(path) for path in files.mentioning(cls.__name__)]
    if json:
        console.print_json(
            {
                "component": cls.__name__,
                "slot": cls.slot,
                "doc": inspect.getdoc(cls) or "",
                "fields": [dataclasses.asdict(field) for field in fields],
                "fits": uses,
                "gin_files": shipped,
            }
        )
        return
    console.line(f"{cls.__name__} (slot: {cls.slot})", style="bold")
    for text in (inspect.getdoc(cls) or "").splitlines():
        console.line(f"  {text}".rstrip())
    for field in fields:
        console.line()
        console.line(f"  {field.name} = {field.default}", style="bold")
        console.line(f"      {field.doc}")
        limits = f"; {field.limits}" if field.limits else ""
        console.line(f"      takes {field.type}{limits}")
        console.line(f"      source: {field.source}")
    console.line()
    for use in uses:
        console.line(f"Use it:  -b '{use}'")
    for path in shipped:
        console.line(f"Bound in {path}")


def _tree(resolved: Resolved, value: Component, label: str, place: str, depth: int) -> list[tuple[str, str]]:
    """A component and what it contains, a row a value: the value, indented, and the place that set it."""
    from hyprepro.config.describe import gin_text

    rows = [(f"{'  ' * depth}{label}", place)]
    node = resolved.nodes.get(id(value))
    for name in type(value).model_fields:
        origin = node.origins.get(name) if node else None
        where = origin.place.short if origin else "default"
        for suffix, item in _items(getattr(value, name)):
            if isinstance(item, Component):
                rows += _tree(resolved, item, f"{name}{suffix} = @{type(item).__name__}()", where, depth + 1)
            else:
                rows.append((f"{'  ' * (depth + 1)}{name} = {gin_text(item)}", where))
    return rows


def _items(value: Any) -> list[tuple[str, Any]]:
    """A tuple of components taken apart; everything else whole."""
    if isinstance(value, tuple) and any(isinstance(item, Component) for item in value):
        return [(f"[{index}]", item) for index, item in enumerate(value)]
    return [("", value)]
