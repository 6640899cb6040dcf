"""The operative configuration: a gin file with every value of a resolved recipe, which resolves to it again.

Each line carries where its value came from, defaults included. The text stands on its own: it includes no
other file, and imports what its recipe does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hyprepro.component import Component, fingerprint
from hyprepro.config.build import Node
from hyprepro.config.describe import gin_text

DEFAULT = "default"


def operative_config(recipe: Component, nodes: Mapping[int, Node], header: str, modules: Sequence[str] = ()) -> str:
    """The text of the operative configuration.

    Args:
        recipe: The root of the resolved tree.
        nodes: Scope and origins of the components in it, by `id`.
        header: Lines about what was resolved; each becomes a comment.
        modules: What the files import of the user's own.
    """
    writer = _Writer(nodes)
    writer.reference(recipe, "")
    comments = "".join(f"# {line}\n" for line in header.splitlines())
    imports = "".join(f"import {name}\n" for name in modules)
    return comments + imports + "\n" + "\n".join(writer.blocks.values())


def origins(recipe: Component, nodes: Mapping[int, Node]) -> dict[str, str]:
    """Where each plain value of the tree was set: `methods[0].generator.width` -> `gin/scales/smoke.gin:12`."""
    found: dict[str, str] = {}

    def visit(value: Any, path: str, place: str) -> None:
        if isinstance(value, Component):
            node = nodes.get(id(value))
            for name in type(value).model_fields:
                origin = node.origins.get(name) if node else None
                visit(
                    getattr(value, name), f"{path}.{name}" if path else name, origin.place.short if origin else DEFAULT
                )
        elif isinstance(value, tuple) and any(isinstance(item, Component) for item in value):
            for index, item in enumerate(value):
                visit(item, f"{path}[{index}]", place)
        else:
            found[path] = place

    visit(recipe, "", DEFAULT)
    return found


class _Writer:
    """Writes each component once; where two share name and scope but not their values, scopes tell them apart."""

    def __init__(self, nodes: Mapping[int, Node]) -> None:
        self.blocks: dict[tuple[str, str], str] = {}
        self._nodes = nodes
        self._contents: dict[tuple[str, str], str] = {}

    def reference(self, value: Component, around: str) -> str:
        """Write a component's block; return the reference to it, to be evaluated in the scope `around`."""
        name = type(value).__name__
        node = self._nodes.get(id(value))
        scope = self._free_scope(name, (node.scope if node else "") or around, fingerprint(value.described()))
        if (scope, name) not in self.blocks:
            self.blocks[scope, name] = ""  # keeps the place, so that a component stands before what it contains
            self.blocks[scope, name] = self._block(value, name, scope, node)
        return f"@{scope}/{name}()" if scope else f"@{name}()"

    def _free_scope(self, name: str, wanted: str, content: str) -> str:
        scope, number = wanted, 1
        while self._contents.setdefault((scope, name), content) != content:
            number += 1
            scope = f"{wanted}/v{number}" if wanted else f"v{number}"
        return scope

    def _block(self, value: Component, name: str, scope: str, node: Node | None) -> str:
        prefix = f"{scope}/{name}" if scope else name
        lines = []
        for field in type(value).model_fields:
            origin = node.origins.get(field) if node else None
            place = origin.place.short if origin else DEFAULT
            lines.append(f"{prefix}.{field} = {self._text(getattr(value, field), scope)}  # {place}\n")
        return "".join(lines)

    def _text(self, value: Any, scope: str) -> str:
        if isinstance(value, Component):
            return self.reference(value, scope)
        if isinstance(value, tuple):
            inner = ", ".join(self._text(item, scope) for item in value)
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        return gin_text(value)
