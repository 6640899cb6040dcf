from __future__ import annotations

import copy
import re

import pytest

from hyprepro.figures.profiles import pictures
from hyprepro.tables.profiles import TAUS

pytest.importorskip("matplotlib")


def profile(method: str, split: str, share: float) -> dict[str, object]:
    flat = [share] * len(TAUS)
    common = {"method": method, "split": split, "protocol": "strict", "taus": list(TAUS)}
    return {**common, "share": flat, "low": flat, "high": flat}


PROFILES = [profile(method, split, 0.5) for method in ("gen-hyprl", "expert") for split in ("seen", "unseen")]


def test_every_method_and_split_is_named_in_the_picture() -> None:
    text = pictures(PROFILES, "profiles")["profiles.svg"].decode()
    for word in ("gen-hyprl", "expert", "seen tasks", "unseen tasks", "strict protocol"):
        assert word in text


def test_equal_profiles_give_equal_bytes_without_a_date_and_others_do_not() -> None:
    one, again = pictures(PROFILES, "p"), pictures(copy.deepcopy(PROFILES), "p")
    assert one == again
    assert one["p.png"].startswith(b"\x89PNG")
    assert not re.search(rb"<dc:date>|tEXt", one["p.svg"] + one["p.png"])
    assert pictures([profile("gen-hyprl", "seen", 0.2)], "p")["p.png"] != one["p.png"]


def test_without_profiles_there_is_no_picture() -> None:
    assert pictures([], "p") == {}
