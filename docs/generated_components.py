"""A page of every component, from the registry."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence

from hyprepro.component import COMPONENTS, Component
from hyprepro.config import catalogue, files
from hyprepro.config.describe import FieldDescription, describe_fields, places_for, slot_base, summary

INDEX = """# Components

Every part of the pipeline is a component: settings with a type, bounds, a default and where that default comes from.
What stands below a slot can be swapped for each other by one binding.
`hyprepro explain NAME` shows the same in the shell.

{slots}
```{{toctree}}
:hidden:

{names}
```
"""

_SPECIAL = re.compile(r"([\\*_<>\[\]{}$|~#])")
_SECTION = re.compile(r"^([A-Z][\w ]*):$")
_ENTRY = re.compile(r"^(\w+): ")


def pages() -> Iterator[tuple[str, str]]:
    """The index and the components: paths and Markdown."""
    slots = catalogue.by_slot()
    listed = [(slot, [name for name in names if _is_ours(name)]) for slot, names in slots.items()]
    named = [name for _, names in listed for name in names]
    sections = [_slot_section(slot, names) for slot, names in listed if names]
    yield "components/index.md", INDEX.format(slots="\n".join(sections), names="\n".join(named))
    for name in named:
        yield f"components/{name}.md", component_page(COMPONENTS[name])


def _is_ours(name: str) -> bool:
    """Whether the package offers a component, and not a module that was imported besides."""
    return COMPONENTS[name].__module__.startswith("hyprepro.")


def _slot_section(slot: str, names: Sequence[str]) -> str:
    base = slot_base(COMPONENTS[names[0]])
    lines = [f"- [{name}]({name}.md): {escaped(summary(COMPONENTS[name]))}" for name in names]
    about = [escaped(summary(base)) + "."] if base.__name__ not in names else []
    return "\n\n".join([f"## `{slot}`", *about, "\n".join(lines)]) + "\n"


def component_page(cls: type[Component]) -> str:
    """A component's page: what it is, its fields, what it fits, where it is bound."""
    name = cls.__name__
    parts = [f"# {name}", f"Slot: `{cls.slot}`. Module: `{cls.__module__}`.", docstring(cls)]
    fields = describe_fields(cls)
    if fields:
        parts += ["## Fields", *map(_field, fields)]
    uses = [f"- `-b '{use}'`" for use in places_for(cls) if _is_ours(use.partition(".")[0])]
    if uses:
        parts += ["## Where it fits", "\n".join(uses)]
    bound = [f"- `{files.display(path)}`" for path in files.mentioning(name)]
    if bound:
        parts += ["## Gin files that bind it", "\n".join(bound)]
    return "\n\n".join(parts) + "\n"


def _field(field: FieldDescription) -> str:
    """A field as an entry of a list of definitions."""
    limits = f"; {escaped(field.limits)}" if field.limits else ""
    lines = [
        escaped(field.doc).rstrip(".") + ".",
        f"Takes {escaped(field.type)}{limits}.",
        f"Source: {escaped(field.source)}.",
    ]
    return f"`{field.name} = {field.default}`\n: " + "\n  ".join(lines)


def docstring(cls: type[Component]) -> str:
    """A docstring as Markdown: its sections ("Attributes:") become lists."""
    found: list[str] = []
    for paragraph in (inspect.getdoc(cls) or "").split("\n\n"):
        head, *rest = paragraph.split("\n")
        if section := _SECTION.match(head):
            entries = re.split(r"\n(?=\w+: )", inspect.cleandoc("\n".join(rest)))
            lines = [_ENTRY.sub(r"`\1`: ", " ".join(entry.split())) for entry in entries]
            found.append(f"*{section[1]}*\n\n" + "\n".join(f"- {escaped(line)}" for line in lines))
        else:
            found.append(escaped(paragraph))
    return "\n\n".join(found)


def escaped(text: str) -> str:
    """Plain text with code in backticks as Markdown that says just that."""
    parts = re.split(r"(`[^`\n]*`)", text)
    return "".join(part if number % 2 else _SPECIAL.sub(r"\\\1", part) for number, part in enumerate(parts))
