"""Reading a page as a browser and a reader by ear would: well-formed, accessible, loading nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "link", "img", "br", "hr", "input", "source", "col"}
LOADING = {"src", "srcset", "href", "poster", "data", "action", "xlink:href", "background", "formaction"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def all(self, *tags: str) -> list[Element]:
        below = [child for child in self.children if isinstance(child, Element)]
        return [found for each in below for found in ([each] if each.tag in tags else []) + each.all(*tags)]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> says something twice: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> where <{self.open[-1].tag}> is open"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read(content: bytes) -> Element:
    """The elements of a page, of which every one is closed."""
    text = content.decode()
    assert text.startswith("<!doctype html>")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == [reader.root], "something is left open"
    return reader.root


def assert_sound(root: Element) -> None:
    """What a page must have so that it can be read by ear, by keyboard and on a phone, and needs no network."""
    assert_loads_nothing(root)
    (html,) = root.all("html")
    assert html.attributes["lang"] == "en"
    assert [each.text for each in html.all("title")] == [each.text for each in html.all("h1")]
    assert any(each.attributes.get("name") == "viewport" for each in html.all("meta"))
    assert len(html.all("main")) == 1
    levels = [int(each.tag[1]) for each in html.all(*(f"h{level}" for level in range(1, 7)))]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= before + 1 for before, later in pairwise(levels)), levels
    assert all(each.text.strip() for each in html.all("h1", "h2", "h3", "h4", "summary", "th"))
    assert all(len(each.attributes["alt"]) > 10 for each in html.all("img"))
    assert all(each.attributes["aria-label"] for each in html.all("video"))
    ids = [each.attributes["id"] for each in html.all("section", "main", "div", "nav") if "id" in each.attributes]
    assert len(ids) == len(set(ids))
    links = [each.attributes["href"] for each in html.all("a")]
    assert {link.removeprefix("#") for link in links} <= set(ids)
    for box in html.all("div"):
        if box.attributes.get("class", "").startswith("scroll"):
            assert box.attributes["tabindex"] == "0"
            assert box.attributes["aria-label"]
    for table in html.all("table"):
        assert [each.text.strip() != "" for each in table.all("caption")] == [True]
        assert all(each.attributes.get("scope") in ("col", "row") for each in table.all("th"))
        widths = {len(row.all("th", "td")) for row in table.all("tr")}
        assert len(widths) == 1, table.text[:200]
    boxed = [table for box in html.all("div") for table in box.children if getattr(table, "tag", "") == "table"]
    assert len(boxed) == len(html.all("table"))


def assert_loads_nothing(root: Element) -> None:
    """No scripts, and nothing that a browser would fetch."""
    assert not root.all("script", "iframe", "object", "embed", "base", "form", "svg", "frame", "portal")
    policy = [each.attributes.get("content", "") for each in root.all("meta") if "http-equiv" in each.attributes]
    assert policy == ["default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"]
    for each in root.all(*{tag for tag in _tags(root)}):
        for name, value in each.attributes.items():
            assert not name.startswith("on"), (each.tag, name)
            if name in LOADING:
                assert value.startswith(("data:image/", "data:video/", "data:,", "#")), (each.tag, name, value[:80])
    assert "url(" not in "".join(each.text for each in root.all("style"))
    assert "@import" not in "".join(each.text for each in root.all("style"))


def _tags(root: Element) -> set[str]:
    below = [child for child in root.children if isinstance(child, Element)]
    return {each.tag for each in below} | {tag for each in below for tag in _tags(each)}


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, `#rrggbb` or `#rgb`, by WCAG 2: 4.5 is asked for of text."""
    lights = sorted(_luminance(colour) for colour in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
