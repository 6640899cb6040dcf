"""Killed, full, without locks or memory, at the wrong time, together: then the same command again, and the same result.

    python -m campaign.chaos --kills 100 --seed 0
    python -m campaign.chaos --kills 20 --collection cheetah-vel-smoke

Every trial works in a folder of its own with an empty cache, and ends with one command that nothing disturbs. Its
digest must be that of a run that nothing ever disturbed, no process may be left, and neither may anything that such a
run does not leave: the same files of the same sizes, locks apart.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from campaign import programs
from campaign.command_line import OURS, REFUSED
from campaign.processes import Started, kill
from campaign.programs import Program
from campaign.report import Report

PATIENCE = 20.0
"""A command may take so many times as long as the undisturbed one, and a minute, before it counts as hung."""
WITHOUT_LOCKS = """import errno, fcntl
def flock(file, operation):
    raise OSError(errno.ENOLCK, 'No locks available')
fcntl.flock = flock
"""
"""For `sitecustomize`: what a file system without locks answers, in every process of a command."""


class Chaos:
    """Trials of one program.

    Args:
        program: What is disturbed.
        root: An empty folder to work in.
        rng: Chooses moments and victims.
        report: Takes endings and faults.
        show: Print every trial.
    """

    def __init__(self, program: Program, root: Path, rng: random.Random, report: Report, show: bool = False) -> None:
        self.program, self.root, self.rng, self.report, self.show = program, root, rng, report, show
        self.kills = 0
        whole = root / "whole"
        started = time.monotonic()
        first = Started(program.command(whole), root / "said")
        code = first.process.wait()
        self.seconds = time.monotonic() - started
        said = first.said()
        if code != 0:
            raise SystemExit(f"{program.name} fails undisturbed:\n{said}")
        self.digest, self.left = program.outcome(whole), listed(whole)

    # Trials. Each yields what to call what it does, and leaves the rest to `judged`.

    def killed(self, folder: Path, kills: int) -> None:
        """Kill parent or workers at random moments, until the run was killed so often or is over."""
        for _ in range(kills):
            command = Started(self.program.command(folder), self.root / "said")
            time.sleep(self.rng.random() * self.seconds)
            is_parent, workers = self.rng.random() < 0.5, command.workers()
            victim = command.process.pid if is_parent or not workers else self.rng.choice(workers)
            is_over = command.process.poll() is not None
            kill(victim)
            self.kills += not is_over
            self._after(command, f"kill -9 of {'the parent' if victim == command.process.pid else 'a worker'}")
            if is_over:
                return

    def full(self, folder: Path, kilobytes: int) -> None:
        """A disk of so many kilobytes, a file system of its own in memory, until it is full; then it becomes larger."""
        line = _quoted(self.program.command(folder))  # which may write what it needs, there and below the mount
        folder.mkdir(parents=True, exist_ok=True)
        given, out = self.root / "given", self.root / "from-the-disk"
        shutil.copytree(folder, given)
        mount = f"mount -t tmpfs -o size={kilobytes}k none {folder} && cp -r {given}/. {folder} && {{ {line}; }}"
        again = f"; mount -o remount,size=4g {folder} && {line} && cp -r {folder} {out}"
        script = mount + again
        command = Started(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script], self.root / "said")
        self._after(command, f"a disk of {kilobytes} kB", may_end=(0,))
        shutil.rmtree(given)
        if out.exists():
            shutil.rmtree(folder)
            out.rename(folder)

    def small_files(self, folder: Path, kilobytes: int) -> None:
        """No file may become larger, as with a quota: every larger write fails."""
        script = f"ulimit -f {2 * kilobytes}; exec {_quoted(self.program.command(folder))}"
        self._after(Started(["sh", "-c", script], self.root / "said"), f"files of at most {kilobytes} kB")

    def no_locks(self, folder: Path) -> None:
        """A cache on a file system without locks: refused, and nothing stays."""
        patched = self.root / "patched"
        patched.mkdir(exist_ok=True)
        (patched / "sitecustomize.py").write_text(WITHOUT_LOCKS, encoding="utf-8")
        paths = os.pathsep.join([str(patched), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
        command = Started(self.program.command(folder), self.root / "said", {"PYTHONPATH": paths})
        self._after(command, "no locks", may_end=(2,))

    def clock_set_back(self, folder: Path) -> None:
        """What a killed run left is of tomorrow."""
        self.killed(folder, 1)
        tomorrow = time.time() + 24 * 3600
        for path in folder.rglob("*"):
            os.utime(path, (tomorrow, tomorrow), follow_symlinks=False)

    def together(self, folder: Path) -> None:
        """Two runs, and a check, at once on one cache."""
        lines = [self.program.command(folder), self.program.command(folder)]
        lines += [self.program.beside(folder)] if self.program.beside else []
        name = "two runs and a check at once"
        ends = [
            self._after(each, name, self.program.together)
            for each in [Started(line, self.root / "said") for line in lines]
        ]
        if 0 not in ends:
            self.report.fault(f"{self.program.name}, {name}: each refused for the other", str(ends))

    def no_memory(self, folder: Path) -> None:
        """At a random moment a worker gets no more memory than it has, and a little."""
        command = Started(self.program.command(folder), self.root / "said")
        time.sleep(self.rng.random() * self.seconds)
        more = self.rng.choice((1, 8, 64)) * 2**20
        for worker in command.workers()[-1:]:
            try:
                pages = int(Path(f"/proc/{worker}/statm").read_text().split()[0])
                resource.prlimit(worker, resource.RLIMIT_AS, (pages * resource.getpagesize() + more,) * 2)
            except (OSError, IndexError):
                continue
        self._after(command, "a worker without memory")

    # What follows a disturbance, and what a trial must come to.

    def _after(self, command: Started, what: str, may_end: tuple[int, ...] = (0, 2, -9)) -> int | None:
        """Wait for the disturbed command; it ends in some way that its user can understand, and leaves no process.

        Returns:
            Its exit code; None if it hung.
        """
        code = command.end(60 + PATIENCE * self.seconds)
        orphans, said = command.orphans(), command.said()
        name = f"{self.program.name}, {what}"
        self.report.ended(f"{name}: {'hung' if code is None else code}", name)
        if code is None:
            self.report.fault(f"{name}: hung", said[-500:])
        elif code not in may_end:
            self.report.fault(f"{name}: ended with {code}", said[-1500:])
        elif code == 2 and (said.count(REFUSED) != 1 or "Traceback" in said or OURS in said):
            self.report.fault(f"{name}: no panel, or more than one", said[-1500:])
        if orphans:
            self.report.fault(f"{name}: orphans", str(len(orphans)))
        if self.show:
            print(name, code, f"{len(orphans)} orphans", file=sys.stderr)
        return code

    def judged(self, trial: Callable[[Path], None], what: str) -> None:
        """A trial, then the same command again, which must come to what an undisturbed one comes to."""
        folder = self.root / "trial"
        trial(folder)
        last = Started(self.program.command(folder), self.root / "said")
        code = last.end(60 + PATIENCE * self.seconds)
        said, name = last.said(), f"{self.program.name}, {what}"
        if code != 0:
            self.report.fault(f"{name}: the same command again ended with {code}", said[-1500:])
        elif self.program.outcome(folder) != self.digest:
            self.report.fault(f"{name}: another digest", "")
        else:
            for difference in differences(self.left, listed(folder)):
                self.report.fault(f"{name}: what is left differs", difference)
        self.report.ended(f"{name}: then the same command again: {code}", name)
        shutil.rmtree(folder, ignore_errors=True)


def listed(folder: Path) -> dict[str, int]:
    """What a command left: files by name with their sizes; of what holds times and costs the name; no locks."""
    vague = ("manifest.json", "result.json", "table.md", "calibration.json")
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.parent.name != "locks":
            is_vague = path.name in vague or path.suffix == ".md"
            found[str(path.relative_to(folder))] = -1 if is_vague else path.stat().st_size
    return found


def differences(wanted: dict[str, int], found: dict[str, int]) -> Iterator[str]:
    """What is too much, missing, or of another size."""
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            yield f"{name}: {wanted.get(name, 'nothing')} undisturbed, {found.get(name, 'nothing')} here"


def _quoted(command: list[str]) -> str:
    import shlex

    return shlex.join(command)


def can_mount(root: Path) -> bool:
    """Whether this user may mount a file system of their own."""
    script = f"mount -t tmpfs -o size=64k none {root}"
    return subprocess.run(["unshare", "-Urm", "sh", "-c", script], capture_output=True, check=False).returncode == 0


def let_loose(program: Program, kills: int, seed: int, root: Path, show: bool = False, others: bool = True) -> Report:
    """Kill a program so often, in rounds of a few kills each, and disturb it in every other way."""
    report, rng = Report(f"chaos: {program.name}", seed), random.Random(seed)
    chaos = Chaos(program, root, rng, report, show)
    used = sum(size for size in chaos.left.values() if size > 0) // 1024
    while chaos.kills < kills:
        chaos.judged(lambda folder: chaos.killed(folder, min(rng.randint(1, 8), kills - chaos.kills)), "killed")
    if others:
        sizes = [max(8, used * share // 100) for share in (1, 5, 20, 40, 60, 80, 95, 105)]
        for size in sizes if can_mount(root) else ():
            chaos.judged(partial(chaos.full, kilobytes=size), "a full disk")
        for size in (4, 64, 512):
            chaos.judged(partial(chaos.small_files, kilobytes=size), "small files")
        chaos.judged(chaos.no_locks, "no locks")
        chaos.judged(chaos.clock_set_back, "the clock set back")
        chaos.judged(chaos.together, "together")
        for _ in range(5):
            chaos.judged(chaos.no_memory, "no memory")
    report.counts["kills"] = chaos.kills
    return report


def main() -> int:
    """Let chaos loose on what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--collection", help="a collection in place of a run")
    parser.add_argument("--kills-only", action="store_true", help="no other disturbance")
    parser.add_argument("--out", type=Path, help="where the figures are written as JSON")
    parser.add_argument("--show", action="store_true", help="print each trial and how it ends")
    asked = parser.parse_args()
    program = programs.collection(asked.collection) if asked.collection else programs.run()
    with tempfile.TemporaryDirectory() as root:
        report = let_loose(program, asked.kills, asked.seed, Path(root), asked.show, not asked.kills_only)
    return report.finish(asked.out)


if __name__ == "__main__":
    sys.exit(main())
