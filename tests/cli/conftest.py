"""Running command lines in this process and looking at what a user would see."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner

from hyprepro.cli import app


@dataclass(frozen=True)
class Outcome:
    """What a command line printed and the code that it ended with."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.stdout)

    @property
    def words(self) -> str:
        """Standard error without the panel's frame and line breaks."""
        return " ".join(self.stderr.replace("│", " ").split())

    def assert_one_panel(self) -> Outcome:
        """A mistake of the user's: one panel, exit code 2, no traceback, nothing on standard output."""
        assert self.code == 2, self.stderr
        assert self.stderr.count("╭") == self.stderr.count("╰") == 1, self.stderr
        assert "Traceback" not in self.stderr
        assert not self.stdout
        return self


Invoke = Callable[..., Outcome]


@pytest.fixture
def hyprepro() -> Invoke:
    """`hyprepro("list", "--json")` runs that command line."""

    def invoke(*arguments: object) -> Outcome:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return invoke
