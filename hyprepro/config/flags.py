"""How a variant and a scale change a recipe's statements, and what of the user's own they replace."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hyprepro.config.build import Key, key_of
from hyprepro.config.describe import gin_text
from hyprepro.config.lint import Statement


def with_flag(
    statements: Sequence[Statement], added: Sequence[Statement], flag: Statement, kept: Collection[Key]
) -> list[Statement]:
    """A recipe's statements, then those of its variant or scale; a scale also sets the sizes of included rows.

    Args:
        statements: The statements so far.
        added: The statements of the variant or scale.
        flag: The statement that names it.
        kept: What it does not set.
    """
    added = [each for each in added if key_of(each) not in kept]
    sized = {(each.selector, each.field) for each in added if not each.scope} if flag.field == "scale" else set()
    rest = [s for s in statements if not (s.is_under and (s.selector, s.field) in sized) or key_of(s) in kept]
    return [*rest, *added, *([] if key_of(flag) in kept else [flag])]


def own_keys(statements: Sequence[Statement]) -> set[Key]:
    """What files of the user's own bind, so that it counts."""
    return {key for key, each in _last(statements).items() if not each.place.shipped}


def replaced_by(before: Sequence[Statement], after: Sequence[Statement]) -> tuple[str, ...]:
    """What stands before in files of the user's own and no longer counts after, a line each."""
    now, found = _last(after), []
    for key, old in _last(before).items():
        new = now.get(key)
        if not old.place.shipped and (new is None or new.value != old.value):
            by = f"{gin_text(new.value)} by {new.place.short}" if new else "what the scale says"
            found.append(f"{old.target} = {gin_text(old.value)} ({old.place.short}) is {by}")
    return tuple(found)


def _last(statements: Sequence[Statement]) -> dict[Key, Statement]:
    """The statement that counts, by what it sets."""
    return {key_of(each): each for each in statements}
