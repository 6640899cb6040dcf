"""How long commands take until they answer, beside another checkout of hyprepro: both in turn, by processor time."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from hyprepro.errors import UserError

OURS = Path(__file__).resolve().parents[1]


class Start(NamedTuple):
    """A command line, and what else the environment says."""

    arguments: tuple[str, ...]
    variables: dict[str, str]


STARTS = {
    "--help": Start(("--help",), {}),
    "completion": Start((), {"_HYPREPRO_COMPLETE": "complete_bash", "COMP_WORDS": "hyprepro r", "COMP_CWORD": "1"}),
    "list": Start(("list",), {}),
    "run table1 --dry-run": Start(("run", "table1", "--dry-run"), {}),
}


def measure_startup(against: Path, rounds: int) -> dict[str, Any]:
    """Processor seconds of each of `STARTS`, medians, after a turn that does not count: it writes bytecode.

    Args:
        against: The other checkout.
        rounds: Turns of each.

    Returns:
        By command, `ours` and `peer` in seconds, and `ratio` (ours over the peer's).

    Raises:
        UserError: The folder is no checkout, or a command fails there.
    """
    if not (against / "hyprepro" / "__main__.py").is_file():
        raise UserError(
            "There is no checkout of hyprepro here.",
            where=f"--against {against}",
            fix="git worktree add FOLDER COMMIT makes one",
        )
    found: dict[str, Any] = {}
    for name, start in STARTS.items():
        seconds: list[tuple[Path, list[float]]] = [(OURS, []), (against.resolve(), [])]
        for number in range(rounds + 1):
            for checkout, taken in seconds:
                each = _seconds(start, checkout)
                if number:
                    taken.append(each)
        ours, peer = (statistics.median(taken) for _, taken in seconds)
        found[name] = {"ours": round(ours, 3), "peer": round(peer, 3), "ratio": round(ours / peer, 3)}
    return found


def _seconds(start: Start, checkout: Path) -> float:
    """The processor time of a command in a checkout, from the start of Python to its end."""
    environment = {**os.environ, **start.variables, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "hyprepro", *start.arguments],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise UserError(
            f"hyprepro {' '.join(start.arguments)} ended with exit code {done.returncode}.",
            where=f"{checkout}: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}",
            fix="run it there by hand",
        )
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
