"""A domain of the user's own: one class and its stores, and the recipe, methods, rollouts and tables take it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from hyprepro.domains.base import RETURN, Metric
from hyprepro.engine.cache import ArtifactCache
from hyprepro.errors import UserError
from hyprepro.experiments.protocols import CommonStarts, PaperProtocol, StrictProtocol, ValidationProtocol
from hyprepro.experiments.recipe import Recipe
from hyprepro.experiments.run import run_recipe
from hyprepro.methods.ceilings import Expert
from hyprepro.methods.cloning import PromptCloning
from hyprepro.methods.macaw.method import MACAW
from hyprepro.methods.retrieval import Retrieval
from hyprepro.reports.ablation import AblationTable
from hyprepro.stores.policy_store import PolicyStoreWriter
from hyprepro.stores.trajectory_store import TrajectoryStoreWriter
from tests.domains.toy import TOY_LAYOUT, WalkDomain

TASKS = {"walk-1": (1.0,), "walk-2": (2.0,), "walk-3": (3.0,)}


class OwnWalks(WalkDomain):
    """Walks told apart by one number, scored by success."""

    ranges: ClassVar[tuple[tuple[float, float], ...]] = ((1.0, 3.0),)

    def parameter(self, task: str) -> tuple[float, ...]:
        if task not in TASKS:
            raise UserError(f"{task!r} is no walk.", fix=f"choose of {', '.join(TASKS)}")
        return TASKS[task]

    def task_name(self, parameter: tuple[float, ...]) -> str:
        return next((task for task, each in TASKS.items() if each == parameter), "") or super().task_name(parameter)

    @property
    def tested(self) -> tuple[str, ...]:
        return ("walk-2",)


class Gains(OwnWalks):
    """The same, scored by what is gained."""

    metric: ClassVar[Metric] = RETURN
    idles: ClassVar[bool] = True


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> OwnWalks:
    folder, draws = tmp_path_factory.mktemp("own"), np.random.default_rng(0)
    with PolicyStoreWriter(folder / "p.h5", TOY_LAYOUT, {"route": "synthetic"}) as policies:
        for task in TASKS:
            split = "test" if task == "walk-2" else "train"
            params = draws.normal(0, 0.7, (3, TOY_LAYOUT.size))
            policies.append(task, params, np.zeros(3), np.arange(3), 0.5, 1, 0.0, split)
        digest = policies.close()
    with TrajectoryStoreWriter(folder / "t.h5", {"route": "synthetic"}, digest, 3, 2) as episodes:
        for task in TASKS:
            arrays = draws.normal(size=(41, 3)), np.zeros((40, 2)), np.zeros(40)
            episodes.append(task, *arrays, -1, 0, 0, "train")
    return OwnWalks(policies=str(folder / "p.h5"), trajectories=str(folder / "t.h5"))


def recipe(domain: OwnWalks, **fields: object) -> Recipe:
    settings = {
        "methods": (Expert(), Retrieval()),
        "protocols": (StrictProtocol(goals_per_policy=4),),
        "report": AblationTable(),
        "reference": "expert",
        **fields,
    }
    return Recipe(name="own", title="Walks", domain=domain, **settings)


def test_success_on_its_own_test_task(own: OwnWalks, tmp_path: Path) -> None:
    result = run_recipe(recipe(own), tmp_path / "out", ArtifactCache(tmp_path / "cache"), 0)
    rows = {(row["method"], row["task"]): row for row in result["rows"] if row["statistic"] == "mean"}
    assert set(rows) == {(method, task) for method in ("expert", "retrieval") for task in ("walk-2", None)}
    assert {(row["split"], row["metric"], row["n_train"]) for row in rows.values()} == {("test", "success_rate", None)}
    assert rows["expert", "walk-2"]["n_episodes"] == 12
    assert 0 < rows["expert", "walk-2"]["value"] < 1


def test_returns_by_training_set(own: OwnWalks, tmp_path: Path) -> None:
    gains = Gains(policies=own.policies, trajectories=own.trajectories)
    mine = recipe(gains, protocols=(CommonStarts(starts=3),), training=(1.0, "walk-3"))
    rows = run_recipe(mine, tmp_path / "out", ArtifactCache(tmp_path / "cache"), 0)["rows"]
    assert {(row["method"], row["n_train"], row["metric"]) for row in rows} == {
        ("expert", None, "return"),
        ("retrieval", 2, "return"),
    }


@pytest.mark.parametrize(
    ("fields", "says", "where"),
    [
        ({"methods": (PromptCloning(),)}, "cannot run on Walk", "PromptCloning"),
        ({"methods": (MACAW(),)}, "cannot run on Walk.*scored by success rate", "MACAW"),
        ({"protocols": (PaperProtocol(),)}, "PaperProtocol does not fit Walk", "Recipe.protocols"),
        ({"protocols": (StrictProtocol(), StrictProtocol(base_seed=1))}, "strict stands twice", "Recipe.protocols"),
        ({"train": (2,)}, "Walk has no order of tasks", "Recipe.train"),
        ({"training": (1.0, 2.0)}, "contains walk-2, which is tested", "Recipe.training"),
        ({"training": (1.0, 4.0)}, "4 is none", "Recipe.training"),
        ({"withheld": ("walk-9",)}, "'walk-9' is no walk", "Recipe.withheld"),
    ],
)
def test_what_it_cannot_serve_is_said_before_any_work(
    own: OwnWalks, fields: dict[str, object], says: str, where: str
) -> None:
    mine = recipe(own, **fields)
    with pytest.raises(UserError, match=says) as error:
        mine.targets(mine.data())
    assert where in error.value.where


def test_top_k_is_picked_by_success_alone(own: OwnWalks) -> None:
    gains = Gains(policies=own.policies, trajectories=own.trajectories)
    mine = recipe(gains, protocols=(CommonStarts(),), selection=ValidationProtocol())
    with pytest.raises(UserError, match="ValidationProtocol does not fit Walk, which is scored by return"):
        mine.targets(mine.data())
