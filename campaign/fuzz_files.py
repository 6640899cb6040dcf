"""Damaged stores, results, zips and sets: each is refused, or read rightly; nothing outside is read, nothing written.

    python -m campaign.fuzz_files --count 1000 --seed 0

Every case is read in a child process, so that a library that crashes is counted and not suffered. Figures name the
library and the kind of damage; the files themselves are made anew from seed and number, and kept nowhere.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import chdir
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from campaign import samples
from campaign.bounds import measured
from campaign.command_line import Ending, ending
from campaign.damage import damage
from campaign.report import Report
from campaign.watch import Watch, watched
from hyprepro.errors import UserError

SECONDS = 10.0
"""Processor time that a case may take."""
MEMORY_MB = 1000
"""Memory that a case may take beyond what the process had before."""
SPACE = 4 * 2**30
"""Address space beyond that of the process, after which the system gives no more."""
DONE = (0, 1)
"""Exit codes of a file that was read: it is sound, or a check that it failed said so."""


@dataclass
class Read:
    """What became of a case in its child."""

    how: str = "crashed"
    wrong: str = ""
    detail: str = ""
    seconds: float = 0.0
    megabytes: int = 0


def main() -> int:
    """Run the cases of the command line's range."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", help="this kind of file alone")
    parser.add_argument("--out", type=Path, help="where the figures are written as JSON")
    parser.add_argument("--show", action="store_true", help="print each case and how it ends")
    asked = parser.parse_args()
    out = asked.out.resolve() if asked.out else None
    kinds = [samples.named(asked.kind)] if asked.kind else samples.KINDS
    return fuzzed(asked.seed, range(asked.first, asked.first + asked.count), kinds, asked.show).finish(out)


def fuzzed(seed: int, numbers: range, kinds: Sequence[samples.Kind] = samples.KINDS, show: bool = False) -> Report:
    """Damage and read files, kind after kind in turn."""
    _import_readers(kinds)
    report = Report("fuzz_files", seed, numbers.start)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        sound, outside = Path(folder, "sound"), Path(folder, "outside")
        outside.mkdir()
        samples.named("policy store").make(outside / "target.h5")
        (outside / "target.bin").write_bytes(bytes(1 << 20))
        for number, kind in enumerate(kinds):
            (sound / str(number)).mkdir(parents=True)
            kind.make(sound / str(number) / FILES[kind.form])
        with watched(outside) as watch:
            (outside / "target.bin").read_bytes()
            assert watch.seen(), "the watch does not see"
            for number in numbers:
                which = number % len(kinds)
                _case(seed, number, kinds[which], sound / str(which), watch, report, show)
    return report


FILES = {"hdf5": "file.h5", "zip": "file.zip", "text": "result.json", "gzip": "records.csv.gz"}


def _case(seed: int, number: int, kind: samples.Kind, sound: Path, watch: Watch, report: Report, show: bool) -> None:
    rng = random.Random(f"{seed}:{number}")
    place, outside = Path("case").absolute(), Path("outside").absolute()
    shutil.copytree(sound, place)
    file = place / FILES[kind.form]
    how = damage(file, kind.form, outside, rng)
    words, before = rng.choice(kind.reads), _state(place)
    watch.seen()
    found = _in_a_child(kind, words, file, sound / file.name)
    if watch.seen() and not found.wrong:
        found.wrong = "something outside was touched"
    if _state(place) != before and not found.wrong:
        found.wrong = "the file or its folder was changed"
    left = Path("out")
    if found.how != "read" and left.exists() and not found.wrong:
        found.wrong = "something was written"
    name = f"case {number}"
    report.ended(f"{kind.name}: {found.how}", name, found.seconds, found.megabytes)
    if found.wrong:
        report.fault(f"{kind.library}: {kind.name}: {how}: {found.wrong}", name)
    if show:
        print(name, kind.name, how, words[:2], found.how, found.wrong, f"{found.seconds:.2f} s", file=sys.stderr)
        if found.wrong:
            print(found.detail[-2000:], file=sys.stderr)
    shutil.rmtree(place)
    shutil.rmtree(left, ignore_errors=True)


def _state(place: Path) -> dict[str, tuple[int, str]]:
    """What lies in a folder: times and sums of the files."""
    return {
        str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(place.rglob("*"))
        if path.is_file()
    }


# The child


def _in_a_child(kind: samples.Kind, words: tuple[str, ...], file: Path, sound: Path) -> Read:
    """Read a file in a process of its own, and tell how that ended."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        with os.fdopen(writer, "w") as answer:
            try:
                _limit()
                answer.write(json.dumps(asdict(_read(kind, words, file, sound))))
                answer.flush()
            finally:
                os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as said:
        text = said.read()
    _, status, spent = os.wait4(child, 0)
    if text:
        return Read(**json.loads(text))
    seconds = spent.ru_utime + spent.ru_stime
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return Read(wrong=f"{name} ends the process", detail=" ".join(words), seconds=seconds)
    return Read(wrong="the process ends without a word", seconds=seconds)


def _limit() -> None:
    """A child may take so much time and memory, and then no more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + SPACE,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (int(6 * SECONDS), int(6 * SECONDS)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _read(kind: samples.Kind, words: tuple[str, ...], file: Path, sound: Path) -> Read:
    read = Read()
    try:
        with measured(5 * SECONDS) as idle:
            pass
        with measured(5 * SECONDS) as spent:
            if words[0] in ("prompts", "content"):
                read.how = _from_python(words[0], file, sound)
            else:
                found = _ending(words, file)
                read.detail = found.stderr
                read.how = "read" if found.code in DONE else "refused"
                is_check = found.code == 1 and words[0] in ("check", "store") and OUR not in found.stderr
                read.wrong = "" if is_check else found.wrong()
        read.seconds, read.megabytes = spent.seconds, max(0, spent.megabytes - idle.megabytes)
    except BaseException as error:
        import traceback

        read.how, read.wrong = "failed", f"{type(error).__name__} got through"
        read.detail = "".join(traceback.format_exception(error))
    if not read.wrong and read.seconds > SECONDS:
        read.wrong = f"more than {SECONDS:g} s"
    if not read.wrong and read.megabytes > MEMORY_MB:
        read.wrong = f"more than {MEMORY_MB} MB"
    return read


OUR = "this is a mistake in hyprepro"


def _ending(words: tuple[str, ...], file: Path) -> Ending:
    Path("out").mkdir()
    named = {"FILE": str(file), "FOLDER": str(file.parent), "OUT": "out/made", "OUT2": "out/made-too"}
    found = ending([named.get(word, word) for word in words])
    if not any(Path("out").iterdir()):
        Path("out").rmdir()
    return found


def _from_python(what: str, file: Path, sound: Path) -> str:
    """Read prompts, or all that a store holds, which is what the sound file holds as far as a digest can tell."""
    from hyprepro.stores.demonstrations import prompts_of

    try:
        if what == "prompts":
            prompts = prompts_of(str(file))
            if not all(np.isfinite(each).all() for each in (prompts.tau, prompts.tau_hat)):
                raise AssertionError("prompts that are not finite")
            return "read"
        here = _content(file)
    except UserError:
        return "refused"
    if here is not None and here != _content(sound):
        raise AssertionError("content that a digest should have told")
    return "read"


def _content(file: Path) -> dict[str, Any] | None:
    """Digests of all arrays of a store whose own check finds no problem; None where it finds one."""
    from hyprepro.stores.info import open_any

    with open_any(file) as store:
        if store.verify():
            return None
        return {name: hashlib.sha256(_little(data[()])).hexdigest() for name, data in store.columns()}


def _little(values: NDArray[Any]) -> bytes:
    """Their bytes in one order, whichever the file has."""
    return values.astype(values.dtype.newbyteorder("<")).tobytes()


def _import_readers(kinds: Sequence[samples.Kind]) -> None:
    """Import what the children use once, before them."""
    import hyprepro.cli.store
    from hyprepro.stores import demonstrations, diversity  # noqa: F401

    ending(["store", "info", "/nowhere"])
    if any(kind.form in ("text", "gzip") for kind in kinds):
        ending(["diff", "tokens", "tokens"])
        ending(["check", "tokens", "--result", "/nowhere"])
        import hyprepro.reports.web.page
    if any(kind.library == "torch" for kind in kinds):
        import torch  # noqa: F401

        import hyprepro.domains.metaworld.maa
        import hyprepro.stores.exchange.sb3  # noqa: F401


if __name__ == "__main__":
    sys.exit(main())
