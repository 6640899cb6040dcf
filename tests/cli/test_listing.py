from __future__ import annotations


def test_list_shows_recipes_and_components_by_slot(hyprepro) -> None:
    shown = hyprepro("list").stdout
    assert "table1" in shown
    assert "UNet1DGenerator" in shown.split("generator\n", 1)[1]


def test_list_for_programs(hyprepro) -> None:
    found = hyprepro("list", "--json").json
    assert {"smoke", "desktop", "paper"} <= set(found["scales"])
    assert {"UNet1DGenerator", "MLPUNetGenerator"} <= set(found["components"]["generator"])
    assert all(found["recipes"].values()), "every recipe's header says what it is for"
    assert all(found["scales"].values())
