"""The one exception a user can cause, and the helpers that make it useful.

Everything that can go wrong with what a user typed, edited or supplied raises `UserError`. The command line turns it
into one panel (what, where, closest match, what to do) and exit code 2; nothing else in the package catches it.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

_LONGEST = 200
"""A longer name is near none; comparing it would take as long as it is."""


class UserError(Exception):
    """A mistake in a binding, a file or a flag.

    Args:
        what: One sentence: what is wrong.
        where: The place, as precise as known: `file.gin:12`, a store path and dataset, a flag. May span lines.
        closest: The nearest thing that would have been valid, if there is one.
        fix: What to do now, preferably a command that can be copied.
    """

    def __init__(self, what: str, *, where: str = "", closest: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.closest = closest
        self.fix = fix

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments are lost by Exception's own pickling; workers send these errors to the parent.
        return (_rebuild, (self.what, self.where, self.closest, self.fix))

    def __str__(self) -> str:
        parts = [self.what]
        parts += [f"{label}: {text}" for label, text in self.rows() if text]
        return "\n".join(parts)

    def described(self) -> dict[str, str]:
        """All of it for programs: `what`, `where`, `closest` and `do`, empty where nothing is known."""
        return {"what": self.what, **dict(self.rows())}

    def rows(self) -> list[tuple[str, str]]:
        """The labelled lines under the headline, in the order in which a panel shows them."""
        return [("where", self.where), ("closest", self.closest), ("do", self.fix)]


def _rebuild(what: str, where: str, closest: str, fix: str) -> UserError:
    return UserError(what, where=where, closest=closest, fix=fix)


def closest_match(name: str, options: Iterable[str]) -> str:
    """The option most like `name`, or an empty string when none is near."""
    if len(name) > _LONGEST:
        return ""
    by_lower = {option.lower(): option for option in options}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[found[0]] if found else ""


def refuse_unknown(name: str, known: Collection[str], what: str, where: str = "", fix: str = "") -> None:
    """Refuse a name that is none of those known (`UserError`), with the closest one.

    Args:
        name: The name.
        known: What it may be.
        what: What is wrong if it is none of them.
        where: Where it was said.
        fix: What to do; the names are listed without it.
    """
    if name not in known:
        fix = fix or f"choose one of: {', '.join(known)}"
        raise UserError(what, where=where, closest=closest_match(name, known), fix=fix)


@contextmanager
def needing(what: str, extra: str, where: str = "") -> Iterator[None]:
    """Say which extra of the package to install where an import fails (`UserError`)."""
    try:
        yield
    except ImportError as error:
        fix = f"pip install 'hyprepro[{extra}]' -c constraints.txt"
        fault = "is not installed" if isinstance(error, ModuleNotFoundError) else f"cannot be imported: {error}"
        raise UserError(f"{what} {fault}.", where=where, fix=fix) from None
