"""Whether results depend on the processor's instructions, threads or workers: digests of recipes at smoke scale.

    python -m campaign.determinism --recipe table4 --recipe tokens

Each recipe runs in an empty cache for every setting. Settings force other kernels upon the libraries that add numbers
up: OpenBLAS (numpy, scipy) by OPENBLAS_CORETYPE, MKL (torch) by MKL_CBWR and MKL_ENABLE_INSTRUCTIONS, torch's own by
ATEN_CPU_CAPABILITY, oneDNN by ONEDNN_MAX_CPU_ISA. What differs is followed to the stages whose artifacts differ.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from campaign.programs import HYPREPRO
from hyprepro.config import files


@dataclass(frozen=True)
class Setting:
    """How a run is made.

    Attributes:
        name: For the table.
        workers: Worker processes.
        variables: Environment variables.
    """

    name: str
    workers: int = 2
    variables: tuple[tuple[str, str], ...] = ()


def _kernels(openblas: str, mkl: str, aten: str, onednn: str) -> tuple[tuple[str, str], ...]:
    return (
        ("OPENBLAS_CORETYPE", openblas),
        ("MKL_ENABLE_INSTRUCTIONS", mkl),
        ("ATEN_CPU_CAPABILITY", aten),
        ("ONEDNN_MAX_CPU_ISA", onednn),
    )


TWO_THREADS = tuple((f"{name}_NUM_THREADS", "2") for name in ("OMP", "MKL", "OPENBLAS"))
SETTINGS: tuple[Setting, ...] = (
    Setting("as they come"),
    Setting("AVX2 kernels", variables=_kernels("Haswell", "AVX2", "avx2", "AVX2")),
    Setting("SSE4.2 kernels", variables=_kernels("Nehalem", "SSE4_2", "default", "SSE41")),
    Setting("two threads asked for", variables=TWO_THREADS),
    Setting("two threads, no worker", workers=0, variables=TWO_THREADS),
    Setting("1 worker", workers=1),
    Setting("3 workers", workers=3),
    Setting("4 workers", workers=4),
)


@dataclass(frozen=True)
class Made:
    """What a run came to.

    Attributes:
        digest: Of its result; empty if it failed.
        stages: The digest of each artifact by its label.
        rows: Its numbers by what they are of.
        seconds: By the clock.
    """

    digest: str
    stages: Mapping[str, str]
    rows: Mapping[str, float]
    seconds: float


def made(recipe: str, setting: Setting, folder: Path) -> Made:
    """Run a recipe at smoke scale under a setting, in an empty cache."""
    flags = ["--scale", "smoke", "--workers", str(setting.workers), "--cache", str(folder / "cache")]
    started = time.perf_counter()
    done = subprocess.run(
        [*HYPREPRO, "run", recipe, *flags, "--out", str(folder / "out")],
        env={**os.environ, **dict(setting.variables)},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        print(done.stderr[-2000:], file=sys.stderr)
        return Made("", {}, {}, seconds)
    result = json.loads((folder / "out" / "result.json").read_text(encoding="utf-8"))
    manifests = [json.loads(path.read_text(encoding="utf-8")) for path in (folder / "cache").glob("*/manifest.json")]
    rows = {_name(row): row["value"] for row in result["rows"] if row["value"] is not None}
    return Made(result["digest"], {each["key"]: each["digest"] for each in manifests}, rows, seconds)


def _name(row: Mapping[str, object]) -> str:
    fields = ("method", "variant", "task", "split", "protocol", "metric", "statistic", "n_train", "zoo")
    return " ".join(str(row[field]) for field in fields if row.get(field) is not None)


def moved(one: Made, other: Made) -> float:
    """The largest difference of a number of two results."""
    return max((abs(one.rows[name] - other.rows[name]) for name in one.rows.keys() & other.rows.keys()), default=0.0)


def table(recipes: Sequence[str], settings: Sequence[Setting]) -> str:
    """Measure, and write a Markdown table: a row a recipe and setting, as compared with the first setting."""
    lines = ["| recipe | setting | result | stages that differ | largest change of a number | seconds |"]
    lines.append("| --- | --- | --- | ---: | ---: | ---: |")
    for recipe in recipes:
        first: Made | None = None
        for setting in settings:
            with tempfile.TemporaryDirectory() as folder:
                found = made(recipe, setting, Path(folder))
            first = first or found
            same = "equal" if found.digest == first.digest else "differs" if found.digest else "failed"
            unlike = sum(found.stages.get(key) != digest for key, digest in first.stages.items())
            change = moved(first, found)
            line = f"| {recipe} | {setting.name} | {same} | {unlike} of {len(first.stages)} | {change:.3g} |"
            lines.append(f"{line} {found.seconds:.0f} |")
            print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def main() -> int:
    """Print the table of some recipes, or of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", action="append", help="may be repeated; all shipped ones otherwise")
    parser.add_argument("--setting", action="append", help="one of the settings by name; the first is always made")
    parser.add_argument("--out", type=Path, help="where the table is written")
    asked = parser.parse_args()
    settings = [each for each in SETTINGS if each is SETTINGS[0] or not asked.setting or each.name in asked.setting]
    found = table(asked.recipe or sorted(files.shipped("recipes")), settings)
    print(found)
    if asked.out:
        asked.out.write_text(found + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
