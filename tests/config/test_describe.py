from __future__ import annotations

from typing import ClassVar, Literal

from hyprepro.component import Component, setting
from hyprepro.config.describe import describe_fields, gin_text, summary


class Inner(Component):
    """Something small. It has a second sentence."""

    slot: ClassVar[str] = "inner"


class Sample(Component):
    slot: ClassVar[str] = "sample"
    count: int = setting(3, "How many.", source="paper, eq. 1", ge=1, lt=9)
    share: float | None = setting(None, "A share.", gt=0)
    kind: Literal["a", "b"] = setting("a", "Which.")
    sizes: tuple[int, ...] = setting((4,), "Sizes.", max_length=3)
    pair: tuple[float, float] = setting((0.5, 1.0), "Two.")
    name: str = setting(..., "A name.", pattern="^x")
    inner: Inner = setting(Inner(), "What is inside.")
    inners: tuple[Inner, ...] = setting((), "More of them.")


def test_fields_in_words() -> None:
    found = {field.name: (field.type, field.limits, field.default) for field in describe_fields(Sample)}
    assert found == {
        "count": ("an integer", "at least 1, less than 9", "3"),
        "share": ("a number or None", "more than 0", "None"),
        "kind": ("one of 'a', 'b'", "", "'a'"),
        "sizes": ("a tuple, each an integer", "at most 3 of them", "(4,)"),
        "pair": ("a tuple of a number, a number", "", "(0.5, 1.0)"),
        "name": ("a string in quotes", "matching ^x", "(required)"),
        "inner": ("a component of the slot inner", "", "@Inner()"),
        "inners": ("a tuple, each a component of the slot inner", "", "()"),
    }


def test_sources_are_kept() -> None:
    assert describe_fields(Sample)[0].source == "paper, eq. 1"


def test_values_are_written_as_gin_reads_them() -> None:
    assert gin_text((Inner(), 1)) == "(@Inner(), 1)"
    assert gin_text("it's") == '"it\'s"'


def test_a_summary_is_one_sentence() -> None:
    assert summary(Inner) == "Something small"
