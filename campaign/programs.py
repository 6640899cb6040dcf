"""What chaos is let loose on: a run, a collection; each a command line, and what tells that it ended as it should."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HYPREPRO = (sys.executable, "-c", "from hyprepro.cli import main; main()")
RECIPE = """include 'recipes/table4.gin'
Recipe.name = 'chaos'
Recipe.methods = (@GenHypRL(), @GenHypRLWithoutHypFormer(), @Expert())
Recipe.scale = 'smoke'
"""


@dataclass(frozen=True)
class Program:
    """A command that makes something in a folder, with its cache there too.

    Attributes:
        name: For reports.
        command: The command line for a folder.
        outcome: A digest of what it made there.
        beside: Another command that may be at work on the same folder.
        together: How the command may end while a second one makes the same there; the other then ends with 0.
    """

    name: str
    command: Callable[[Path], list[str]]
    outcome: Callable[[Path], str]
    beside: Callable[[Path], list[str]] | None = None
    together: tuple[int, ...] = (0,)


def run(workers: int = 2) -> Program:
    """A recipe at smoke scale: stages of every kind of Gen-HypRL on Cheetah-Vel, and their rollouts."""

    def recipe(folder: Path) -> str:
        file = folder / "chaos.gin"
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            file.write_text(RECIPE, encoding="utf-8")
        return str(file)

    def common(folder: Path) -> list[str]:
        return ["--scale", "smoke", "--cache", str(folder / "cache"), "--workers", str(workers)]

    def command(folder: Path) -> list[str]:
        return [*HYPREPRO, "run", recipe(folder), "--out", str(folder / "out"), *common(folder)]

    def beside(folder: Path) -> list[str]:
        return [
            *HYPREPRO,
            "check",
            recipe(folder),
            "--committed",
            str(folder.parent / "whole" / "out"),
            *common(folder),
        ]

    def outcome(folder: Path) -> str:
        return str(json.loads((folder / "out" / "result.json").read_text(encoding="utf-8"))["digest"])

    return Program("run", command, outcome, beside)


def collection(name: str = "cheetah-vel-smoke") -> Program:
    """A collection in miniature: training, selection, episodes, stores."""

    def command(folder: Path) -> list[str]:
        return [*HYPREPRO, "collect", name, "--out", str(folder / "out"), "--cache", str(folder / "cache")]

    def outcome(folder: Path) -> str:
        stores = sorted((folder / "out").glob("*.h5"))
        return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in stores)).hexdigest()

    return Program(f"collect {name}", command, outcome, together=(0, 2))  # two may not write the same stores
