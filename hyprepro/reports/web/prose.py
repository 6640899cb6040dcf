"""Markdown as HTML that may come from a stranger: no tags of its own, no links, nothing that is loaded.

markdown-it does the reading and the writing. In between, its tokens are arranged so that a page can be read by ear and
on a phone: headings go down by one level at a time, every table has a caption, heads and a box of its own to scroll in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

DEEPEST = 6
"""HTML has six levels of headings."""


class Prose(NamedTuple):
    """A text as HTML.

    Attributes:
        title: Its first heading as plain text, if the text begins with one.
        html: All the rest.
    """

    title: str
    html: Markup


def prose(text: str, level: int) -> Prose:
    """Turn Markdown into HTML.

    Args:
        text: The Markdown. Tags in it are shown, links and pictures become their words.
        level: The level of the headings below its title.
    """
    parser = MarkdownIt("js-default")
    tokens = parser.parse(text)
    title = ""
    if [token.type for token in tokens[:1]] == ["heading_open"]:
        title, tokens = _plain(tokens[1]), tokens[3:]
    _name_heads(tokens)
    arranged = list(_arranged(tokens, title, level))
    return Prose(title, Markup(parser.renderer.render(arranged, parser.options, {})))


def _arranged(tokens: Sequence[Token], title: str, level: int) -> Iterator[Token]:
    """The tokens with their headings' levels set and their tables framed."""
    deepest, heading, said = level - 1, title, ""
    for token, after in zip_longest(tokens, tokens[1:]):
        if token.type == "heading_open":
            deepest = max(level, min(deepest + 1, level + int(token.tag[1:]) - 2, DEEPEST))
            heading, said = _plain(after), ""
        if token.type == "paragraph_open":
            said = _plain(after)
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{deepest}"
        if token.type == "table_open":
            caption = _caption(heading, said)
            yield _raw(f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}">')
            yield token
            yield _raw(f'<caption class="unseen">{escape(caption)}</caption>\n')
        elif token.type == "inline":
            token.children = list(_words(token.children or ()))
            yield token
        else:
            yield token
        if token.type == "table_close":
            yield _raw("</div>\n")


def _caption(heading: str, said: str) -> str:
    """What a table shows: the heading that it stands under, and the line that announces it."""
    announced = said.removesuffix(":") if said.endswith(":") else ""
    return ": ".join(part for part in (heading, announced) if part) or "Table"


def _name_heads(tokens: Sequence[Token]) -> None:
    """Say which cells name a column or a row; a cell above the names that is empty names nothing."""
    is_first, in_body, opened = False, False, ""
    for token, after in zip_longest(tokens, tokens[1:]):
        if token.type in ("tbody_open", "thead_open"):
            in_body = token.type == "tbody_open"
        elif token.type == "tr_open":
            is_first = True
        elif token.type in ("th_open", "td_open"):
            is_head = is_first or not in_body
            token.tag = "th" if is_head and _plain(after) else "td"
            is_number = "right" in str(token.attrs.get("style"))
            token.attrs = {"class": "number"} if is_number else {}
            if token.tag == "th":
                token.attrs["scope"] = "row" if in_body else "col"
            opened = token.tag
        elif token.type in ("th_close", "td_close"):
            token.tag, is_first = opened, False


def _words(children: Iterable[Token]) -> Iterator[Token]:
    """Inline tokens without links and pictures, of which the words stay."""
    for child in children:
        if child.type == "image":
            yield Token("text", "", 0, content=child.content)
        elif child.type not in ("link_open", "link_close"):
            yield child


def _plain(token: Token | None) -> str:
    """The words of an inline token."""
    children = token.children or () if token else ()
    return "".join(" " if child.type == "softbreak" else child.content for child in children).strip()


def _raw(html: str) -> Token:
    return Token("html_block", "", 0, content=html)
