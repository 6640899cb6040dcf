"""`hyprepro explain`: a component's fields, one of them, a slot, or a recipe's values and where each was set."""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyprepro.cli import completion, console
from hyprepro.cli.arguments import DEFAULT_SCALE, BindingsOption, FilesOption, JsonOption, ScaleOption, VariantOption
from hyprepro.errors import UserError, closest_match

if TYPE_CHECKING:
    from hyprepro.component import Component
    from hyprepro.config.describe import FieldDescription
    from hyprepro.config.registry import Resolved


def explain(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A component (HypFormer), its field (HypFormer.heads), a slot (generator), a recipe, a collection.",
            autocompletion=completion.explained,
        ),
    ],
    scale: ScaleOption = None,
    variant: VariantOption = None,
    bind: BindingsOption = None,
    gin: FilesOption = None,
    json: JsonOption = False,
) -> None:
    """Show the fields of a component, what fits a slot, or every value of a recipe with the place that set it."""
    from hyprepro.config import catalogue, files

    components = catalogue.load_components()
    if name in components:
        _explain_component(components[name], json)
        return
    recipes, collections, slots = files.shipped("recipes"), files.shipped("collections"), catalogue.by_slot()
    if name not in recipes and name not in collections and not name.endswith(files.SUFFIX):
        component, dot, field = name.partition(".")
        if name in slots:
            _explain_slot(name, [components[each] for each in slots[name]], json)
            return
        if dot and component in components:
            _explain_field(components[component], field, json)
            return
        raise UserError(
            f"There is no component, slot, recipe or collection named {component!r}.",
            where=f"hyprepro explain {name}",
            closest=closest_match(component, [*recipes, *collections, *slots, *components]),
            fix="List them with: hyprepro list",
        )
    from hyprepro.config.registry import resolve

    if name in collections:
        resolved = resolve(collections[name], bindings=bind or (), files_=gin or (), slot="collection")
    else:
        resolved = resolve(name, scale, variant, bind or (), gin or (), default_scale=DEFAULT_SCALE)
    if json:
        console.print_json({"recipe": resolved.recipe.described(), "origins": resolved.origins})
        return
    console.columns(_tree(resolved, resolved.recipe, type(resolved.recipe).__name__, "", depth=0), indent=0)


def _explain_slot(name: str, fitting: list[type[Component]], json: bool) -> None:
    from hyprepro.config.describe import places_for, slot_base, summary

    base = slot_base(fitting[0])
    doc = inspect.getdoc(base) or ""
    uses = sorted({use.partition("=")[0] for cls in fitting for use in places_for(cls)})
    described = {cls.__name__: summary(cls) for cls in fitting}
    if json:
        console.print_json({"slot": name, "doc": doc, "components": described, "fields": uses})
        return
    console.line(f"{name} (a slot)", style="bold")
    for text in doc.splitlines():
        console.line(f"  {text}".rstrip())
    console.line()
    console.columns(described.items())
    console.line()
    for binding in places_for(fitting[0]):
        console.line(f"Bind it:  -b '{binding}'")
    console.line("Fields of each: hyprepro explain COMPONENT")


def _explain_field(cls: type[Component], name: str, json: bool) -> None:
    from hyprepro.config import files
    from hyprepro.config.describe import choices_of, describe_fields

    field = next((each for each in describe_fields(cls) if each.name == name), None)
    if field is None:
        raise UserError(
            f"{cls.__name__} has no field {name!r}.",
            where=f"hyprepro explain {cls.__name__}.{name}",
            closest=closest_match(name, cls.model_fields),
            fix=f"See its fields with: hyprepro explain {cls.__name__}",
        )
    choices = choices_of(cls.model_fields[name].annotation)
    bound = files.binding(f"{cls.__name__}.{name}")
    if json:
        found = {**dataclasses.asdict(field), "choices": choices, "bound": bound}
        console.print_json({"component": cls.__name__, "field": found})
        return
    console.line(f"{cls.__name__}.{field.name} = {field.default}", style="bold")
    _show_field(field, indent=2)
    console.line()
    for value in choices or ["VALUE"]:
        console.line(f'Bind it:  -b "{cls.__name__}.{name}={value}"')
    for place in bound:
        console.line(f"Bound in {place}")


def _show_field(field: FieldDescription, indent: int) -> None:
    limits = f"; {field.limits}" if field.limits else ""
    for text in (field.doc, f"takes {field.type}{limits}", f"source: {field.source}"):
        console.line(" " * indent + text)


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
        _show_field(field, indent=6)
    console.line()
    for use in uses:
        console.line(f"Use it:  -b '{use}'")
    for path in shipped:
        console.line(f"Bound in {path}")


def _tree(resolved: Resolved, value: Component, label: str, place: str, depth: int) -> list[tuple[str, str]]:
    """A component and what it contains, a row a value: the value, indented, and the place that set it."""
    from hyprepro.component import Component
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
    from hyprepro.component import Component

    if isinstance(value, tuple) and any(isinstance(item, Component) for item in value):
        return [(f"[{index}]", item) for index, item in enumerate(value)]
    return [("", value)]
