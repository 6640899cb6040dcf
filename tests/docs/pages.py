"""The texts that a newcomer reads, taken apart into blocks and command lines."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
"""What is included from another text is read where it stands; generated pages hold no blocks to run."""


class Block(NamedTuple):
    """A fenced block: its language, or the directive of the site that it is, and its text."""

    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    tokens = MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8"))
    return [Block(token.info.split(" ")[0], token.content) for token in tokens if token.type == "fence"]


def commands(page: Path) -> Iterator[str]:
    """Its command lines, without comments and prompts; what is joined by && is several."""
    for language, text in blocks(page):
        if language == "bash":
            for line in text.splitlines():
                yield from filter(None, (part.strip() for part in _bare(line).split(" && ")))


def typed(page: Path) -> Iterator[str]:
    """What is typed in the page's consoles, on whatever machine."""
    for language, text in blocks(page):
        if language == "console":
            yield from (line.partition("$ ")[2] for line in text.splitlines())


def _bare(line: str) -> str:
    """A line without its comment."""
    words = shlex.split(line, comments=True)
    return line if words == shlex.split(line) else line.partition(" #")[0].strip()
