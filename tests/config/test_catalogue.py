"""What is told from the modules' text is what importing them tells."""

from __future__ import annotations

from hyprepro.config import catalogue
from hyprepro.config.describe import summary


def test_what_is_listed_is_what_the_modules_offer() -> None:
    loaded = catalogue.load_components()
    offered = {slot: {name: summary(loaded[name]) for name in names} for slot, names in catalogue.by_slot().items()}
    shipped = {
        slot: {n: s for n, s in found.items() if loaded[n].__module__.startswith("hyprepro.")}
        for slot, found in offered.items()
    }
    assert catalogue.listed() == {slot: found for slot, found in shipped.items() if found}


def test_a_first_sentence_is_one_line() -> None:
    assert catalogue.first_sentence("One\n    sentence. Another.\n\nA paragraph.") == "One sentence"
    assert catalogue.first_sentence("v1.5 of it.") == "v1.5 of it"
