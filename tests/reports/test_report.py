"""What stands above the numbers of every report, and what closes it on a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from hyprepro.config.registry import resolve
from hyprepro.reports.changes import Departure
from hyprepro.reports.markdown import WIDTH
from hyprepro.reports.report import closing, framed, headline, miniature
from tests.reports.synthetic import make_records, make_result
from tests.reports.velocities import records as velocity_records
from tests.reports.velocities import velocity_result

TEXT = "# Table 1\n\nSuccess rates.\n"


def result_of(policies: int = 12, scale: str = "desktop", **provenance: Any) -> dict[str, Any]:
    found = make_result(make_records(policies=policies), scale=scale)
    found["provenance"] |= provenance
    return found


def departure(*bindings: str, scale: str = "smoke") -> dict[str, Any]:
    """What a run of Table 1 records of some bindings."""
    shipped, here = (resolve("table1", scale, bindings=given).recipe.described() for given in ((), bindings))
    return Departure.of(f"table1 --scale {scale}", shipped, here).to_json()


def flat(text: str) -> str:
    """Text without line breaks and quotation marks of Markdown."""
    return " ".join(text.replace("\n> ", " ").split())


def test_a_whole_run_of_the_shipped_recipe_says_nothing_more() -> None:
    for provenance in ({}, {"shipped": {"recipe": "table1 --scale desktop", "changes": []}}, {"shipped": "nonsense"}):
        assert framed(TEXT, result_of(**provenance)) == TEXT


@pytest.mark.parametrize(
    ("wanted", "ran", "says"), [("fast", "metaworld", True), ("fast", "fast", False), ("metaworld", "metaworld", False)]
)
def test_a_refused_stepper_is_told_below_the_numbers_and_at_the_end(wanted: str, ran: str, says: bool) -> None:
    of_domain: dict[str, object] = {"domain": {"stepper": wanted}}
    for field in (of_domain, {"stepper": wanted}):  # as it is, and as in results of earlier releases
        result = result_of(config={**result_of()["provenance"]["config"], **field}, stepper=ran)
        assert ("metaworld's own env.step ran" in flat(framed(TEXT, result))) is says
        assert any("metaworld's own env.step ran" in line for line in closing(result)) is says


def test_smoke_numbers_say_that_they_mean_nothing_and_how_small_the_run_was() -> None:
    config = {**result_of()["provenance"]["config"], **resolve("table1", "smoke").recipe.described()}
    text = framed(TEXT, result_of(policies=3, scale="smoke", config=config))
    assert text.startswith("# Table 1\n\n> **Smoke numbers mean nothing.**")
    for words in (
        "3 prompts, and so 3 policies, a task (the paper: 100)",
        "2 generator seeds",
        "20 to 60 steps",
        "HypFormer 40",
    ):
        assert words in flat(text)
    assert "PromptAdaptation" not in text  # a fit at test time is no training
    assert text.endswith("\n\nSuccess rates.\n")
    assert max(map(len, text.splitlines())) <= WIDTH


@pytest.mark.parametrize(("policies", "says"), [(3, True), (5, False)])
def test_few_policies_say_so_at_any_scale(policies: int, says: bool) -> None:
    assert ("So few policies say nothing" in miniature(result_of(policies=policies, scale="tiny"))) is says


def test_a_smoke_run_of_velocities_is_a_miniature_too() -> None:
    result = velocity_result(velocity_records(policies=3, starts=2))
    assert miniature(result) == "", "few policies, but each from several starts"
    assert "3 policies a velocity, 2 starts each; 2 generator seeds" in miniature({**result, "scale": "smoke"})


def test_every_value_that_differs_is_named_with_both_values_and_its_places() -> None:
    shipped = departure(
        "HypLatent.generator = @MLPUNetGenerator()", "AUTOENCODER = @PCAAutoencoder()", "Recipe.seeds=2"
    )
    text = flat(framed(TEXT, result_of(shipped=shipped)))
    assert "3 values differ from `hyprepro run table1 --scale smoke`" in text
    assert "`Recipe.seeds`: `2`; shipped: `1`. At `seeds`." in text
    assert (
        "`HypLatent.generator`: `@MLPUNetGenerator(widths=(64, 32), dropout=0.1)`; shipped: `@UNet1DGenerator(" in text
    )
    assert "`MSERegressor.autoencoder`: `@PCAAutoencoder(steps=0," in text
    for method in ("GenHypRL", "GenHypRLWithoutHypFormer", "MakeAnAgent", "AutoencoderCeiling", "MSERegressor"):
        assert f"`methods[{method}].autoencoder`" in text
    assert max(len(line) for line in framed(TEXT, result_of(shipped=shipped)).splitlines()) <= WIDTH


def test_a_recipe_of_the_users_own_says_so() -> None:
    assert "**A recipe of its own.**" in framed(TEXT, result_of(shipped={"recipe": "", "changes": []}))


def test_the_headline_has_all_protocols_and_the_papers_number() -> None:
    (line,) = headline(result_of())
    assert line.startswith("gen-hyprl, average of 8 seen tasks: paper protocol ")
    assert " (the paper: 70.3); strict protocol " in line


def test_the_headline_of_returns_is_of_the_tested_velocities() -> None:
    splits = {0.225: "test", 0.3: "seen", 0.375: "unseen"}
    lines = headline(velocity_result(velocity_records(splits=splits)))
    assert [line.partition(":")[0] for line in lines] == [
        "gen-hyprl, average of 1 test velocity, 35 training velocities",
        "gen-hyprl, average of 1 test velocity, 10 training velocities",
    ]


def test_a_table_without_gen_hyprl_still_has_a_headline() -> None:
    result = make_result(make_records(rates={"expert": 0.9, "retrieval": 0.5}))
    assert [line.partition(",")[0] for line in headline(result)] == ["expert"]
    assert headline({**result, "rows": []}) == []


def test_what_closes_a_terminal_begins_with_what_the_numbers_are_of() -> None:
    shipped = departure("Recipe.seeds=2")
    lines = closing(result_of(policies=3, scale="smoke", shipped=shipped))
    assert lines[0].startswith("Smoke numbers mean nothing.")
    assert lines[1].startswith("Not the shipped recipe: Recipe.seeds")
    assert lines[-1].startswith("gen-hyprl, average of 8 seen tasks")


def test_a_table_states_what_a_whole_run_costs_whatever_this_run_made_of_it() -> None:
    cost = {"work_seconds": 2400.0, "stages": 207, "workers": 2, "stages_made": 60, "wall_seconds": 285.0}
    hardware = {"cpu": "A processor", "cores": 2}
    text = flat(framed(TEXT, result_of(hardware=hardware, **cost)))
    assert "207 stages, 40.0 minutes of work for one core (A processor, 2 cores), so 20.0 on 2 workers" in text
    assert "made 60 of them, in 4.8 minutes" in text
    whole = flat(framed(TEXT, result_of(**{**cost, "stages_made": 207})))
    assert "made all of them" in whole
