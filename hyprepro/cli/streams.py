"""Standard output and standard error that never fail whoever writes to them.

They may be closed (`>&-`), absent (`sys.stdout` is None under services), full (`/dev/full`, a full disk under a log) or
left by their reader (`| head`). None of that may end a run before its result is on the disk, nor change the exit code
of a mistake: what cannot be written is dropped, and the first reason is kept for whoever asks.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

DESCRIPTORS = (0, 1, 2)


class Target(Protocol):
    """What a stream needs of the one below it."""

    def write(self, text: str, /) -> Any:
        """Take text."""

    def flush(self) -> Any:
        """Hand on what is buffered."""

    def fileno(self) -> int:
        """The descriptor."""

    def isatty(self) -> bool:
        """Whether a person reads it."""


class Stream(io.TextIOBase):
    """A text stream that drops what its target does not take.

    Args:
        target: The stream that is written to; None drops everything.

    Attributes:
        failure: Why text was dropped; None while all of it was written, and for a target that was closed on purpose.
    """

    def __init__(self, target: Target | None) -> None:
        self.target = target
        self.failure: OSError | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The target's encoding; what it lacks is written as an escape."""
        return getattr(self.target, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether a person reads it."""
        with suppress(AttributeError, ValueError):
            return self.target is not None and self.target.isatty()
        return False

    def fileno(self) -> int:
        """The target's descriptor (`io.UnsupportedOperation` without one)."""
        return super().fileno() if self.target is None else self.target.fileno()

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str, /) -> int:
        """Write the text, or drop it; returns its length in any case."""
        self._attempt(lambda target: _write(target, text))
        return len(text)

    def flush(self) -> None:
        """Hand on what is buffered, or drop it."""
        self._attempt(lambda target: target.flush())

    def _attempt(self, act: Callable[[Target], object]) -> None:
        if self.target is None or self.failure is not None:
            return
        try:
            act(self.target)
        except OSError as error:
            self.failure = error
            _detach(self.target)
        except ValueError:  # closed by the program that this runs in
            self.target = None


class EditedStream(Stream):
    """A stream for text of any origin.

    Args:
        target: Takes the edited text.
        edit: Makes text fit to be shown.
    """

    def __init__(self, target: Stream, edit: Callable[[str], str]) -> None:
        super().__init__(target)
        self.unedited = target
        self._edit = edit

    def write(self, text: str, /) -> int:
        """Write the edited text, or drop it; returns the length that was given."""
        self.unedited.write(self._edit(text))
        return len(text)


def visible(text: str) -> str:
    r"""Text in which what a terminal would obey, or not show, is written as an escape: `\x1b`, `\u202e`.

    That is all but Python's printable characters, new lines and tabs: control sequences, carriage returns, changes of
    writing direction, characters of no width, and halves of characters, which no stream could encode.
    """
    if text.isprintable():
        return text
    return "".join(c if c in "\n\t" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextmanager
def standing(edit: Callable[[str], str]) -> Iterator[Stream]:
    """Put such streams in the places of `sys.stdout` and `sys.stderr` for the time of a command.

    Args:
        edit: Applied to what others than the console write to standard error: warnings, tracebacks, logs.

    Yields:
        Standard output, which knows whether all of it was written.
    """
    _occupy_descriptors()
    before = sys.stdout, sys.stderr
    out, err = Stream(before[0]), Stream(before[1])
    sys.stdout, sys.stderr = out, EditedStream(err, edit)
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


def for_console(stream: Target | None) -> Stream:
    """A standard stream as the console writes to it, which edits for itself."""
    if isinstance(stream, EditedStream):
        return stream.unedited
    return stream if isinstance(stream, Stream) else Stream(stream)


def _write(target: Target, text: str) -> None:
    try:
        target.write(text)
    except UnicodeEncodeError:
        encoding = getattr(target, "encoding", "ascii")
        target.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _detach(target: Target) -> None:
    """Let what a failed stream still holds go nowhere: Python would try it again at exit, and exit with code 120."""
    with suppress(OSError, ValueError, AttributeError):
        number = target.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, number)
        os.close(null)


def _occupy_descriptors() -> None:
    """Open a closed standard descriptor on nothing.

    Else the next file that is opened, a store perhaps, gets its number, and with it all that libraries print.
    """
    for number in DESCRIPTORS:
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
            os.set_inheritable(null, True)  # workers have it too
