"""Running command lines in this process and looking at what a user would see."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hyprepro.cli import app
from hyprepro.component import COMPONENTS
from tests.conftest import TinyStores
from tests.hub.stand_in import TOKEN, StandIn, running


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


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The stand-in in the place of the Hub, a token for it, and an empty working folder."""
    constants = pytest.importorskip("huggingface_hub.constants")
    with running() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        url = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
        monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client's pauses before it tries again
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        work = tmp_path / "work"
        work.mkdir()
        monkeypatch.chdir(work)
        yield server


PROMPTS = "Recipe.prompts_per_task=2"
SHY = """
from hyprepro.component import component
from hyprepro.methods.ceilings import Expert


@component
class Shy(Expert):
    label = "shy"

    def refusal(self, data, task):
        return "it does not reach" if task == "reach" else ""
"""


@pytest.fixture
def shy(tiny_stores: TinyStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Words of a command line: Table 1 of a user's method that can act in door-open and not in reach."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "shy.py").write_text(SHY)
    bindings = [
        f"MetaWorld.policies = '{tiny_stores.policies}'",
        f"MetaWorld.trajectories = '{tiny_stores.trajectories}'",
        "Recipe.methods = (@Shy(),)",
        "Recipe.protocols = (@StrictProtocol(),)",
    ]
    recipe = tmp_path / "mine.gin"
    recipe.write_text("\n".join(["import shy", "include 'recipes/table1.gin'", *bindings, ""]))
    yield [recipe, "--scale", "smoke", "--cache", tmp_path / "cache", "--workers", 0, "--method", "shy", "-b", PROMPTS]
    COMPONENTS.pop("Shy", None)
    sys.modules.pop("shy", None)
