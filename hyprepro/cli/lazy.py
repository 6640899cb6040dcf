"""The command group that imports a command's module when the command runs, not before.

Help and completion list commands by what the table says of them; a test holds the table against the modules.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from hyprepro.errors import UserError


class Deferred(NamedTuple):
    """A command that is not imported yet.

    Args:
        module: The dotted name of its module.
        attribute: What the module calls it: a function, or a `Typer` of several commands.
        help: The first paragraph of its help text.
    """

    module: str
    attribute: str
    help: str

    def load(self, name: str) -> Any:
        """Import the command, under the name that it has on the command line."""
        found = getattr(self._module(name), self.attribute)
        if isinstance(found, typer.Typer):
            command: Any = get_group(found)
        else:
            single = typer.Typer(add_completion=False)
            single.command()(found)
            command = get_command(single)
        command.name = name
        return command

    def _module(self, name: str) -> ModuleType:
        try:
            return importlib.import_module(self.module)
        except ModuleNotFoundError as error:
            if error.name is None or not self.module.startswith(error.name) or error.name.startswith("hyprepro"):
                raise
            raise UserError(
                f"hyprepro {name} measures this project itself and is no part of an installed package.",
                where=f"there is no module {error.name}",
                fix='run it in a checkout of the repository: pip install -e ".[dev]"',
            ) from None


class LazyGroup(TyperGroup):
    """Typer's group, except that its commands are imported when they are invoked.

    Attributes:
        deferred: Its commands by name, in the order in which help lists them; a subclass fills it.
    """

    deferred: dict[str, Deferred]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {
            **{name: TyperCommand(name, help=it.help) for name, it in self.deferred.items()},
            **self.commands,
        }

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the program's own options."""
        if ctx.resilient_parsing:
            _take_as_typed(self, ctx)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that a command line invokes or completes, imported."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in self.deferred:
            command = self.deferred[name].load(name)
        if command and ctx.resilient_parsing:
            _take_as_typed(command, ctx)
        return name, command, rest


def _take_as_typed(command: Any, ctx: Any) -> None:
    """Leave arguments as they were typed, help's own flag too: converting them takes pydantic, completing does not."""
    for parameter in command.get_params(ctx):
        parameter.process_value = _as_typed
    for inner in getattr(command, "commands", {}).values():
        _take_as_typed(inner, ctx)


def _as_typed(ctx: Any, value: Any) -> Any:
    return value
