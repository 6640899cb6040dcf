"""The command group that turns every mistake into one panel and an exit code.

Exit codes: 0 done, 2 a mistake of the user's (one panel, no traceback), 1 a mistake of ours or a check that failed, 130
interrupted. With `--json`, a mistake is also one JSON object on standard output: {"error": {"what", "where", "closest",
"do"}}.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from hyprepro.cli import console, streams
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
        wants_json = _wants_json(sys.argv[1:] if args is None else args)
        with streams.standing(streams.visible) as out:
            code = self._exit_code(
                wants_json,
                args=args,
                prog_name=prog_name,
                complete_var=complete_var,
                windows_expand_args=windows_expand_args,
                **extra,
            )
            code = _delivered(out, code)
        if standalone_mode:
            sys.exit(code)
        return code

    def _exit_code(self, wants_json: bool, **arguments: Any) -> int:
        try:
            code = super().main(standalone_mode=False, **arguments)
        except UserError as error:
            return _refused(error, wants_json)
        except typer.TyperException as error:
            if type(error).__name__ == "NoArgsIsHelpError":
                console.line(error.format_message())
                return 0
            return _refused(self._usage_error(error), wants_json)
        except typer.Abort:
            code = INTERRUPTED
        except Exception as error:
            if (explained := _by_the_system(error)) is not None:
                return _refused(explained, wants_json)
            said = console.show_unexpected(error)
            if wants_json:
                console.print_json({"error": said.described()})
            return OUR_ERROR
        if code == INTERRUPTED:  # typer's own group turns Ctrl-C into this code
            console.note("Interrupted. The same command goes on from here.")
        return code if isinstance(code, int) else 0

    def _usage_error(self, error: typer.TyperException) -> UserError:
        """A mistake in a flag or an argument, as every other one."""
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "hyprepro"
        typed = getattr(error, "option_name", "") or _quoted(error.format_message())
        known = _names(context, options=typed.startswith("-")) if context else []
        return UserError(
            error.message or error.format_message(),
            where=command if not isinstance(error, typer.BadParameter) else f"{command}: {error.format_message()}",
            closest=closest_match(typed, known) if typed else "",
            fix=f"See: {command} --help",
        )


def _by_the_system(error: Exception) -> UserError | None:
    """What the system refused, however deep in a command a path that was typed was used; None for all else."""
    if isinstance(error, OSError) and error.filename is None:
        return None
    from hyprepro.engine.stage import explain_os_error

    return explain_os_error(error, Path())


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for JSON, told without parsing: it may be the parsing that fails."""
    flags = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in flags


def _refused(error: UserError, wants_json: bool) -> int:
    """Show a mistake of the user's."""
    console.show_user_error(error)
    if wants_json:
        console.print_json({"error": error.described()})
    return USER_ERROR


def _delivered(out: streams.Stream, code: int) -> int:
    """The exit code once standard output is written, which may have failed: then a command that succeeded did not."""
    out.flush()
    if out.failure is None or out.failure.errno == errno.EPIPE:  # the reader left (`| head`) and misses nothing
        return code
    if code != USER_ERROR:  # else there is a panel already
        console.show_user_error(
            UserError(
                f"Standard output cannot be written: {out.failure.strerror}.",
                where="standard output",
                fix="Send it elsewhere and run the same command again; files that it writes are complete.",
            )
        )
    return code or USER_ERROR


def _quoted(message: str) -> str:
    """The name that a message of typer's quotes: "No such command 'rnu'."."""
    return message.split("'")[1] if message.count("'") >= 2 else ""


def _names(context: Any, options: bool) -> list[str]:
    """The options, or else the commands, that would have been understood."""
    if options:
        return [name for parameter in context.command.params for name in parameter.opts]
    return list(getattr(context.command, "commands", {}))
