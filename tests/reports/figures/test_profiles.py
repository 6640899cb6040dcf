from __future__ import annotations

import copy
import re
import xml.etree.ElementTree as ET

import pytest

from hyprepro.reports.figures.profiles import LINES, pictures
from hyprepro.reports.statistics import TAUS
from tests.reports.figures.test_tokens import svg_texts

pytest.importorskip("matplotlib")

METHODS = [f"method-{number}" for number in range(10)] + ["gen-hyprl"]


def profile(method: str, split: str, share: float) -> dict[str, object]:
    flat = [share] * len(TAUS)
    common = {"method": method, "split": split, "protocol": "strict", "taus": list(TAUS)}
    return {**common, "share": flat, "low": flat, "high": flat}


SHARES = {"seen": 0.9, "unseen": 0.4}
PROFILES = [profile(method, split, share) for method in METHODS for split, share in SHARES.items()]


def curves(svg: bytes, colour: str) -> int:
    """How many lines of a colour a picture has."""
    return len(re.findall(rf'fill: none;[^"]* ?stroke: {colour}', svg.decode(), re.IGNORECASE))


def test_every_method_has_a_panel_of_its_own_and_every_split_its_label() -> None:
    svg = pictures(PROFILES, "profiles")["profiles.svg"]
    assert svg.decode().count('id="axes_') == len(METHODS)
    assert set(METHODS) <= svg_texts(svg)
    names = [text.strip() for text in re.findall(r"<!-- (.*?) -->", svg.decode())]
    assert [names.count(split) for split in SHARES] == [len(METHODS)] * 2
    assert "strict protocol" in svg.decode()


def test_splits_differ_in_colour_and_in_line_and_gen_hyprl_is_behind_all_others() -> None:
    assert len({colour for colour, _ in LINES.values()}) == len({line for _, line in LINES.values()}) == len(LINES)
    svg = pictures(PROFILES, "p")["p.svg"]
    for colour, _ in LINES.values():
        assert curves(svg, colour) == len(METHODS)
    behind = 2 * (len(METHODS) - 1) + 2  # two in every other panel, two in the legend
    assert curves(svg, "#b3b3b3") == behind
    assert {"gen-hyprl, seen tasks", "gen-hyprl, unseen tasks"} <= svg_texts(svg)


def test_curves_that_lie_on_each_other_share_a_label() -> None:
    same = [profile("gen-hyprl", split, 1.0) for split in SHARES]
    assert "seen, unseen" in svg_texts(pictures(same, "p")["p.svg"])


@pytest.mark.parametrize("count", [1, 2, 4, 5, 8])
def test_any_number_of_methods_is_drawn(count: int) -> None:
    some = [profile(method, "seen", 0.5) for method in METHODS[-count:]]
    svg = pictures(some, "p")["p.svg"]
    assert svg.decode().count('id="axes_') == count
    assert ET.fromstring(svg).tag.endswith("svg")


def test_equal_profiles_give_equal_bytes_without_a_date_and_others_do_not() -> None:
    one, again = pictures(PROFILES, "p"), pictures(copy.deepcopy(PROFILES), "p")
    assert one == again
    assert one["p.png"].startswith(b"\x89PNG")
    assert not re.search(rb"<dc:date>|tEXt", one["p.svg"] + one["p.png"])
    assert pictures([profile("gen-hyprl", "seen", 0.2)], "p")["p.png"] != one["p.png"]


def test_without_profiles_there_is_no_picture() -> None:
    assert pictures([], "p") == {}
