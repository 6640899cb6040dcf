from __future__ import annotations

from hyprepro.config import files
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


def test_a_scale_shows_what_it_sets_and_where(hyprepro) -> None:
    shown = hyprepro("explain", "smoke").stdout
    lines = files.shipped("scales")["smoke"].read_text().splitlines()
    place = f"gin/scales/smoke.gin:{lines.index('HypFormer.bank = 8') + 1}"
    assert any(line.split() == ["HypFormer.bank", "=", "8", place] for line in shown.splitlines())
    assert "--scale smoke" in shown


def test_a_name_of_a_scale_and_of_a_variant_shows_both(hyprepro) -> None:
    found = hyprepro("explain", "paper", "--json").json
    assert "HypFormer.width = 256" in found["scale"]["bindings"]
    assert found["variant"]["bindings"]["HypFormer.bank = 0"].startswith("gin/variants/paper.gin:")
    assert "closest released" in hyprepro("explain", "relesed").assert_one_panel().words


def test_an_unknown_name(hyprepro) -> None:
    words = hyprepro("explain", "UNet1DGenerater").assert_one_panel().words
    assert "closest UNet1DGenerator" in words


def test_a_slot_with_what_fits_and_where_it_goes(hyprepro) -> None:
    shown = hyprepro("explain", "generator").stdout
    assert "MLPUNetGenerator" in shown
    assert "UNet1DGenerator" in shown
    assert "HypLatent.generator=@" in shown


def test_every_slot_that_list_shows_is_explained(hyprepro) -> None:
    for slot, components in hyprepro("list", "--json").json["components"].items():
        found = hyprepro("explain", slot, "--json").json
        assert found["slot"] == slot
        assert found["components"].items() >= components.items(), "a user's own that a test imported stand beside them"
        assert found["doc"]


def test_a_field_with_all_that_is_known_of_it(hyprepro) -> None:
    shown = hyprepro("explain", "HypFormer.candidates").stdout
    assert "HypFormer.candidates = 8" in shown
    assert "at least 1" in shown
    assert "source: paper, stage 3" in shown
    assert '-b "HypFormer.candidates=VALUE"' in shown
    assert "gin/recipes/figure5.gin:" in shown
    assert '-b "HypLatent.generator=@UNet1DGenerator()"' in hyprepro("explain", "HypLatent.generator").stdout
    assert hyprepro("explain", "HypLatent.condition", "--json").json["field"]["choices"] == ["'h_and_v'", "'h'"]


def test_an_unknown_field_and_the_field_of_an_unknown_component(hyprepro) -> None:
    assert "closest candidates" in hyprepro("explain", "HypFormer.candidats").assert_one_panel().words
    assert "closest HypFormer" in hyprepro("explain", "HypFormre.candidates").assert_one_panel().words
    assert "closest generator" in hyprepro("explain", "generater").assert_one_panel().words
