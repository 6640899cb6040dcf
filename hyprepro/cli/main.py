"""The command group that turns every mistake into one panel and an exit code.

Exit codes: 0 done, 2 a mistake of the user's (one panel, no traceback), 1 a mistake of ours or a check that failed, 130
interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from hyprepro.cli import console
from hyprepro.errors import UserError, closest_match

USER_ERROR = 2
OUR_ERROR = 1
INTERRUPTED = 130


class PanelGroup(TyperGroup):
    """Typer's group, except that errors become panels."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line; in standalone mode this ends the process with its exit code."""
        code = self._exit_code(
            args=args, prog_name=prog_name, complete_var=complete_var, windows_expand_args=windows_expand_args, **extra
        )
        if standalone_mode:
            sys.exit(code)
        return code

    def _exit_code(self, **arguments: Any) -> int:
        try:
            code = super().main(standalone_mode=False, **arguments)
        except UserError as error:
            console.show_user_error(error)
            return USER_ERROR
        except typer.TyperException as error:
            return self._usage_error(error)
        except typer.Abort:
            code = INTERRUPTED
        except BrokenPipeError:
            # The reader of our output left (`hyprepro list | head`); without this, Python complains again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return OUR_ERROR
        except Exception as error:
            console.show_unexpected(error)
            return OUR_ERROR
        if code == INTERRUPTED:  # typer's own group turns Ctrl-C into this code
            console.note("Interrupted. The same command goes on from here.")
        return code if isinstance(code, int) else 0

    def _usage_error(self, error: typer.TyperException) -> int:
        """A mistake in a flag or an argument, in the same panel as every other one."""
        context = getattr(error, "ctx", None)
        if type(error).__name__ == "NoArgsIsHelpError":
            console.line(error.format_message())
            return 0
        command = context.command_path if context else "hyprepro"
        typed = getattr(error, "option_name", "") or _quoted(error.format_message())
        known = _names(context, options=typed.startswith("-")) if context else []
        console.show_user_error(
            UserError(
                error.message or error.format_message(),
                where=command if not isinstance(error, typer.BadParameter) else f"{command}: {error.format_message()}",
                closest=closest_match(typed, known) if typed else "",
                fix=f"See: {command} --help",
            )
        )
        return USER_ERROR


def _quoted(message: str) -> str:
    """The name that a message of typer's quotes: "No such command 'rnu'."."""
    return message.split("'")[1] if message.count("'") >= 2 else ""


def _names(context: Any, options: bool) -> list[str]:
    """The options, or else the commands, that would have been understood."""
    if options:
        return [name for parameter in context.command.params for name in parameter.opts]
    return list(getattr(context.command, "commands", {}))
