from __future__ import annotations

import pytest

from hyprepro.reports.markdown import table
from hyprepro.reports.web.prose import prose
from tests.reports.web.pages import Element, _Reader


def tree(html: str) -> Element:
    reader = _Reader()
    reader.feed(html)
    return reader.root


def test_the_first_heading_is_the_title_and_the_others_follow_one_level_at_a_time() -> None:
    found = prose("# A *title*\n\ntext\n\n#### deep\n\n## two\n\n### three\n\n# one again\n", 2)
    assert found.title == "A title"
    assert [each.tag for each in tree(found.html).all("h1", "h2", "h3", "h4")] == ["h2", "h2", "h3", "h2"]


def test_a_text_without_heading_has_no_title() -> None:
    assert prose("just words", 2) == ("", "<p>just words</p>\n")


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![p](http://example.com/p.png)",
        "[t](http://example.com)",
        "[t](javascript:alert(1))",
        "<http://example.com>",
        "[t]: http://example.com\n\nsee [t] and ![t]",
        '| a | b |\n| --- | --- |\n| <b onclick="x()">c</b> | ![p](//example.com/p) |',
        "`<script>`",
        "```<script>\n<script>\n```",
    ],
)
def test_nothing_of_a_strangers_is_run_loaded_or_linked(text: str) -> None:
    root = tree(prose(text, 2).html)
    assert not root.all("script", "img", "a", "b")
    assert "onclick" not in str([each.attributes for each in root.all("td", "th", "code", "p")])


def test_words_of_links_and_pictures_stay() -> None:
    root = tree(prose("see [the *table*](x.md) and ![a picture](y.png)", 2).html)
    assert root.text.strip() == "see the table and a picture"


def test_tables_have_captions_heads_and_a_box_to_scroll_in() -> None:
    text = f"## Protocols\n\nPaper protocol:\n\n{table(['', 'ours'], [['reach', '1.0 [0.5, 1.5]']])}\n\n"
    root = tree(prose("# T\n\n" + text + table(["task", "ours"], [["push", "2"]]), 2).html)
    boxes = [box for box in root.all("div") if box.attributes["class"] == "scroll"]
    assert [box.attributes["aria-label"] for box in boxes] == ["Protocols: Paper protocol", "Protocols: Paper protocol"]
    first, second = root.all("table")
    assert [(each.text, each.attributes["scope"]) for each in first.all("th")] == [("ours", "col"), ("reach", "row")]
    assert [(each.text, each.attributes) for each in first.all("td")] == [
        ("", {}),
        ("1.0 [0.5, 1.5]", {"class": "number"}),
    ]
    assert [each.attributes["scope"] for each in second.all("th")] == ["col", "col", "row"]
