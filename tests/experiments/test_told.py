"""Which tasks methods have no rows of, over all data of a recipe."""

from __future__ import annotations

from pathlib import Path

from hyprepro.engine.cache import ArtifactCache
from hyprepro.experiments.protocols import StrictProtocol
from hyprepro.experiments.recipe import Recipe
from hyprepro.experiments.run import plan
from hyprepro.experiments.told import refusals
from hyprepro.experiments.zoos import Zoo
from hyprepro.methods.ceilings import Expert
from hyprepro.methods.multitask.method import MultiTaskSAC
from hyprepro.reports.zoo_table import ZooTable
from tests.conftest import TinyStores


def test_a_task_that_the_last_zoo_goes_without_is_still_refused(tiny_stores: TinyStores, tmp_path: Path) -> None:
    whole = Zoo(name="whole", domain=tiny_stores.domain)
    for zoos in ((whole,), (whole, Zoo(name="less", domain=tiny_stores.domain, without=("reach",)))):
        recipe = Recipe(
            name="zoos", title="Toy", domain=tiny_stores.domain, zoos=zoos, seen=("door-open",), unseen=("reach",),
            withheld=("reach",),
            methods=(MultiTaskSAC(), Expert()), protocols=(StrictProtocol(),), seeds=2, prompts_per_task=2,
            reference="expert", report=ZooTable(),
        )  # fmt: skip
        rollouts = plan(recipe, ArtifactCache(tmp_path)).rollouts
        found = refusals(recipe.tasks_of, rollouts)
        assert {name: each["tasks"] for name, each in found.items()} == {"mt-sac": ["reach"]}
        assert "label" in found["mt-sac"]["why"]
        assert {each.task for each in rollouts if each.method.name == "mt-sac"} == {"door-open"}
