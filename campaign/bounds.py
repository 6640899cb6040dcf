"""What one case may cost: processor time and memory, measured for this process; a case that hangs is stopped."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

SECONDS = 2.0
"""Processor time that a case may take; the machine may be busy with other work."""
MEMORY_MB = 500
"""Resident memory that the process may reach in a case, the interpreter and all its libraries included."""
HUNG = 30.0
"""Processor time after which a case is stopped."""
WAITING = 20
"""A case is stopped too once the clock has gone so many times as far: it waits for something."""


class Overrun(BaseException):
    """A case took so long that it was stopped; no handler of the product's catches this."""


class Spent:
    """What a case has cost.

    Attributes:
        seconds: Processor time.
        megabytes: The peak of resident memory.
    """

    seconds = 0.0
    megabytes = 0


@contextmanager
def measured(hung: float = HUNG) -> Iterator[Spent]:
    """Measure a block, and stop it (`Overrun`) after so much processor time.

    Yields:
        What it has cost, once it is over.
    """
    spent = Spent()
    timers = (signal.SIGPROF, signal.ITIMER_PROF, hung), (signal.SIGALRM, signal.ITIMER_REAL, WAITING * hung)
    before = [signal.signal(number, _stop) for number, _, _ in timers]
    _forget_peak()
    started = time.process_time()
    for _, timer, seconds in timers:
        signal.setitimer(timer, seconds)
    try:
        yield spent
    finally:
        for _, timer, _ in timers:
            signal.setitimer(timer, 0)
        spent.seconds, spent.megabytes = time.process_time() - started, _peak_mb()
        for (number, _, _), handler in zip(timers, before, strict=True):
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Overrun


def _forget_peak() -> None:
    """Begin the peak of resident memory anew (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> int:
    """The peak of resident memory since `_forget_peak`, in MiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) // 1024
