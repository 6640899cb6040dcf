"""`hyprepro explain`: a component or one of its fields, a slot, a scale or variant, a recipe's values and places."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyprepro.cli import arguments, completion, console
from hyprepro.errors import UserError, closest_match, refuse_unknown
from hyprepro.experiments.choice import DEFAULT_SCALE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hyprepro.component import Component
    from hyprepro.config.describe import FieldDescription
    from hyprepro.config.registry import Resolved


def explain(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A component (HypFormer), its field (HypFormer.heads), a slot (generator), a recipe, a collection, a "
            "scale, a variant.",
            autocompletion=completion.explained,
        ),
    ],
    scale: arguments.ScaleOption = None,
    variant: arguments.VariantOption = None,
    bind: arguments.BindingsOption = None,
    gin: arguments.FilesOption = None,
    json: arguments.JsonOption = False,
) -> None:
    """Show a component's fields, what fits a slot, what a scale sets, or a recipe's values and where each was set."""
    from hyprepro.config import catalogue, files

    components, slots = catalogue.load_components(), catalogue.by_slot()
    shipped = {kind: files.shipped(kind) for kind in files.KINDS}
    component, dot, field = name.partition(".")
    found = {kind: known[name] for kind, known in shipped.items() if name in known}
    if name in components:
        _explain_component(components[name], json)
    elif "recipes" in found or name.endswith(files.SUFFIX):
        asked = {"scale": scale, "variant": variant, "default_scale": DEFAULT_SCALE}
        _explain_values(name, json, bindings=bind or (), files_=gin or (), **asked)
    elif "collections" in found:
        _explain_values(found["collections"], json, bindings=bind or (), files_=gin or (), slot="collection")
    elif name in slots:
        _explain_slot(name, [components[each] for each in slots[name]], json)
    elif dot and component in components:
        _explain_field(components[component], field, json)
    elif found:
        _explain_files(name, found, json)
    else:
        names = [each for known in shipped.values() for each in known]
        raise UserError(
            f"There is no component, slot, recipe, collection, scale or variant named {component!r}.",
            where=f"hyprepro explain {name}",
            closest=closest_match(component, [*names, *slots, *components]),
            fix="List them with: hyprepro list",
        )


def _explain_values(file: str | Path, json: bool, **asked: Any) -> None:
    """Every value of what `resolve` makes of a file, with the place that set it."""
    from hyprepro.config.registry import resolve

    resolved = resolve(file, **asked)
    if json:
        console.print_json({"recipe": resolved.recipe.described(), "origins": resolved.origins})
        return
    console.columns(_tree(resolved, resolved.recipe, type(resolved.recipe).__name__, "", depth=0), indent=0)


def _explain_files(name: str, found: Mapping[str, Path], json: bool) -> None:
    """What the scales and variants of a name set."""
    from hyprepro.config import files
    from hyprepro.config.registry import bindings_of

    kinds = {kind.removesuffix("s"): path for kind, path in found.items()}
    if json:
        described = {
            kind: {"purpose": files.purpose(path), "bindings": bindings_of(path)} for kind, path in kinds.items()
        }
        console.print_json({"name": name, **described})
        return
    for kind, path in kinds.items():
        console.line(f"{name} (a {kind})", style="bold")
        console.line(f"  {files.purpose(path)}")
        console.line()
        console.columns(bindings_of(path).items())
        console.line()
        console.line(f"Use it:  hyprepro run table1 --{kind} {name}")


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

    command = f"hyprepro explain {cls.__name__}"
    what, fix = f"{cls.__name__} has no field {name!r}.", f"See its fields with: {command}"
    refuse_unknown(name, cls.model_fields, what, f"{command}.{name}", fix)
    field = next(each for each in describe_fields(cls) if each.name == name)
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
