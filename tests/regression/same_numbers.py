"""Holds this checkout's numbers against another revision's: `python -m tests.regression.same_numbers REVISION`.

Moving and merging code must not move a number. Every recipe runs at smoke scale in both checkouts, on this machine and
from empty caches, and each result's rows, comparisons and profiles must be the same, to the last digit. Its digest is
not compared: it covers the text of the records too, whose form may change.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from hyprepro.component import fingerprint

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted(path.stem for path in (ROOT / "gin" / "recipes").glob("*.gin"))


def digests(tree: Path, recipes: list[str], folder: Path) -> dict[str, str]:
    """A digest of the numbers of each recipe's smoke result, computed by the code of a checkout."""
    found = {}
    env = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    for recipe in recipes:
        out = folder / recipe
        command = [sys.executable, "-m", "hyprepro", "run", recipe, "--scale", "smoke", "--out", str(out)]
        command += ["--cache", str(folder / "cache")]
        done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False)
        found[recipe] = done.stdout[-2000:] + done.stderr[-2000:]
        if done.returncode == 0:
            result = json.loads((out / "result.json").read_text())
            found[recipe] = fingerprint([result[name] for name in ("rows", "comparisons", "profiles")])
        print(f"{recipe:12} {found[recipe]}", flush=True)
    return found


def main(revision: str, recipes: list[str]) -> int:
    """Compare; the number of recipes whose numbers differ."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        other = folder / "checkout"
        subprocess.run(["git", "worktree", "add", "--detach", str(other), revision], cwd=ROOT, check=True)
        try:
            print(f"{revision}:")
            before = digests(other, recipes, folder / "before")
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(other)], cwd=ROOT, check=True)
        print("this checkout:")
        now = digests(ROOT, recipes, folder / "now")
    unlike = [recipe for recipe in recipes if before[recipe] != now[recipe]]
    print(f"{len(recipes) - len(unlike)} of {len(recipes)} recipes have equal numbers", *unlike)
    return len(unlike)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:] or RECIPES))
