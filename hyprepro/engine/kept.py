"""What a process keeps from one stage for the next of the same affinity, and gives up for a long one of another.

A worker that trains has no use for the environments of the task that it evaluated before, and their memory adds up with
what the training takes. They are made anew when their task returns, which costs less than a second; so a stage that is
over as soon as that leaves them alone.
"""

from __future__ import annotations

from collections.abc import Callable

from hyprepro.engine.stage import Stage

LONG = 4.0
"""Stage cost, about seconds, from which on a stage needs the room."""

_RELEASES: list[Callable[[], None]] = []
_affinity = ""


def released_by(release: Callable[[], None]) -> None:
    """Call `release` before every long stage of another affinity than the one before it."""
    _RELEASES.append(release)


def make_room(stage: Stage) -> None:
    """Give up what stages of another affinity have left, if `stage` is long."""
    global _affinity
    if stage.affinity != _affinity and stage.cost >= LONG:
        _affinity = stage.affinity
        for release in _RELEASES:
            release()
