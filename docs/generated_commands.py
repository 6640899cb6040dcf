"""A page of every command, from what the command line says of itself."""

from __future__ import annotations

from collections.abc import Iterator

import typer
from typer.cli import get_docs_for_click

from hyprepro.cli import COMMANDS

INDEX = """# Commands

What `hyprepro COMMAND --help` says, page by page.

{list}

```{{toctree}}
:hidden:

{names}
```
"""


def pages() -> Iterator[tuple[str, str]]:
    """The index and the commands: paths and Markdown."""
    listed = "\n".join(f"- [`hyprepro {name}`]({name}.md): {it.help}" for name, it in COMMANDS.items())
    yield "commands/index.md", INDEX.format(list=listed, names="\n".join(COMMANDS))
    for name in COMMANDS:
        yield f"commands/{name}.md", _page(name)


def _page(name: str) -> str:
    command = COMMANDS[name].load(name)
    context = typer.Context(command, info_name=name)
    return str(get_docs_for_click(obj=command, ctx=context, name=name, call_prefix="hyprepro"))
