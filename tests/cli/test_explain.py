from __future__ import annotations

from hyprepro.config.catalogue import load_components


def test_a_component_with_type_limits_default_source_and_use(hyprepro) -> None:
    shown = hyprepro("explain", "StrictProtocol").stdout
    assert "goals_per_policy = 1" in shown
    assert "an integer; at least 1, at most 100" in shown
    assert "source: ours" in shown
    assert "-b 'Recipe.protocols=(@StrictProtocol(),)'" in shown


def test_every_component_explains_every_field(hyprepro) -> None:
    for name, cls in load_components().items():
        found = hyprepro("explain", name, "--json").json
        assert [field["name"] for field in found["fields"]] == list(cls.model_fields)
        assert found["doc"], f"{name} says what it is"
        for field in found["fields"]:
            assert field["doc"], f"{name}.{field['name']} says what it does"
            assert field["source"], f"{name}.{field['name']} says where its default comes from"


def test_a_recipe_shows_where_each_value_was_set(hyprepro) -> None:
    shown = hyprepro("explain", "table1", "--scale", "smoke", "-b", "Recipe.seeds=7").stdout
    assert any(line.split() == ["seeds", "=", "7", "-b", "#1"] for line in shown.splitlines())
    assert "gin/recipes/table1.gin:" in shown
    assert "default" in shown


def test_a_recipe_for_programs(hyprepro) -> None:
    found = hyprepro("explain", "table1", "--json").json
    assert found["recipe"]["component"] == "Recipe"
    assert found["origins"]["name"].startswith("gin/recipes/table1.gin:")


def test_an_unknown_name(hyprepro) -> None:
    words = hyprepro("explain", "UNet1DGenerater").assert_one_panel().words
    assert "closest UNet1DGenerator" in words
