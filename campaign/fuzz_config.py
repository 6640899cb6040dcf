"""Generated bindings and gin files through `run --dry-run` and `explain`: each is resolved, or refused by one panel.

    python -m campaign.fuzz_config --count 10000 --seed 0

In one process, which reads stores and imports libraries before the first case; a case may then take two seconds of
processor time, the process 500 MB, and nothing may be written.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from contextlib import chdir
from pathlib import Path

from campaign import configs
from campaign.bounds import HUNG, MEMORY_MB, SECONDS, Overrun, measured
from campaign.command_line import Ending, ending
from campaign.report import Report

STORES = Path(__file__).resolve().parents[1] / "stores"
WARM = tuple((recipe, scale) for recipe in (*configs.RECIPES, *configs.LARGE) for scale in ("smoke", "desktop"))


def main() -> int:
    """Run the cases of the command line's range."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where the figures are written as JSON")
    parser.add_argument("--show", action="store_true", help="print each case and how it ends")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="processor time that a case may take")
    parser.add_argument("--cold", action="store_true", help="do not read stores and import libraries before")
    asked = parser.parse_args()
    out = asked.out.resolve() if asked.out else None
    numbers, warm = range(asked.first, asked.first + asked.count), () if asked.cold else WARM
    return fuzzed(asked.seed, numbers, asked.show, warm, asked.seconds).finish(out)


def fuzzed(
    seed: int,
    numbers: range,
    show: bool = False,
    warm: tuple[tuple[str, str], ...] = WARM,
    seconds: float = SECONDS,
) -> Report:
    """Run some cases, each in the same folder, made anew where a case left something in it."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        os.symlink(STORES, "stores")
        for recipe, scale in warm:
            ending(["run", recipe, "--scale", scale, "--dry-run"])
        report = Report("fuzz_config", seed, numbers.start)
        for number in numbers:
            _judge(configs.case(seed, number), f"case {number}", report, show, seconds)
    return report


def _judge(case: configs.Case, name: str, report: Report, show: bool, seconds: float) -> None:
    place = Path.cwd()
    os.mkfifo("pipe")
    for file, content in case.files.items():
        Path(file).write_bytes(content)
    before, path = _listed(place), list(sys.path)
    found = Ending(1, "", "")
    try:
        with measured() as spent:
            found = ending(case.arguments)
        kind = found.wrong(case.wants_json)
    except Overrun:
        kind = f"stopped after {HUNG:g} s"
    except BaseException as error:
        kind = f"{type(error).__name__} got through"
    if not kind and spent.seconds > seconds:
        kind = f"more than {seconds:g} s"
    if not kind and spent.megabytes > MEMORY_MB:
        kind = f"more than {MEMORY_MB} MB"
    if not kind and _listed(place) != before:
        kind = "something was written"
    report.ended(found.how, name, spent.seconds, spent.megabytes)
    if kind:
        report.fault(kind, name)
    if show:
        print(name, found.how, kind, [word[:200] for word in case.arguments], f"{spent.seconds:.2f} s", file=sys.stderr)
        if kind:
            print(found.stderr[-3000:], file=sys.stderr)
    sys.path[:] = path
    _empty(place)


def _listed(place: Path) -> list[str]:
    """What lies in a folder, as deep as it goes; modules that were imported leave their bytecode."""
    found = (os.path.join(folder, name) for folder, folders, names in os.walk(place) for name in [*folders, *names])
    return sorted(name for name in found if "__pycache__" not in name)


def _empty(place: Path) -> None:
    for path in place.iterdir():
        if path.name == "stores":
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


if __name__ == "__main__":
    sys.exit(main())
