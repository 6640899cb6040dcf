"""Command lines of the product in this process, as a user would see them end."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

from hyprepro.cli import app

OURS = "this is a mistake in hyprepro"
REFUSED = "hyprepro cannot do this"
_PLACE = re.compile(r"([\w/.-]+\.py):\d+ in (\w+)")


@dataclass(frozen=True)
class Ending:
    """What a command line printed, and its exit code."""

    code: int
    stdout: str
    stderr: str

    @property
    def how(self) -> str:
        """In a word: "resolved", "refused" or "failed"."""
        return {0: "resolved", 2: "refused"}.get(self.code, "failed")

    def wrong(self, wants_json: bool = False) -> str:
        """What is wrong with it, as a kind of fault; empty if nothing is: a result, or one panel and nothing else."""
        if self.code not in (0, 2):
            return f"exit code {self.code}: {self._unexpected()}"
        if "Traceback" in self.stdout + self.stderr:
            return "a traceback"
        if wants_json:
            try:
                json.loads(self.stdout)
            except ValueError:
                return "no JSON document"
        panels = self.stderr.count(REFUSED)
        if panels != (1 if self.code == 2 else 0):
            return f"{panels} panels with exit code {self.code}"
        if self.code == 2 and self.stdout and not wants_json:
            return "a panel and a result"
        return ""

    def _unexpected(self) -> str:
        """The kind of exception that got through, and where: the same text for all of one kind."""
        words = " ".join(self.stderr.replace("│", " ").split())
        kind = re.search(r"(\w+(?:Error|Exception|Interrupt|Exit|Overflow)\w*):", words)
        place = _PLACE.search(words)
        where = f"{place[1].rsplit('/', 1)[-1]} in {place[2]}" if place else words[-200:]
        return f"{kind[1] if kind else '?'} at {where}"


def ending(arguments: Sequence[str]) -> Ending:
    """Run a command line to its end; whatever gets through `PanelGroup` gets through here."""
    from typer.main import get_command

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = get_command(app).main(list(arguments), prog_name="hyprepro", standalone_mode=False)
    return Ending(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())
