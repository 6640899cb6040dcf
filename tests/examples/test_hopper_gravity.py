"""The example of a domain of one's own: collected, trained on and evaluated by the same commands, in a miniature."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hyprepro.cli import app
from hyprepro.component import COMPONENTS
from hyprepro.config.registry import resolve
from hyprepro.domains.base import Start
from hyprepro.domains.episodes import Episode, run_episodes
from hyprepro.domains.parameter import ParameterDomain
from hyprepro.errors import UserError
from hyprepro.methods.macaw.method import MACAW
from hyprepro.methods.retrieval import Retrieval
from hyprepro.policies.controllers import PolicyControllers
from hyprepro.stores.policy_store import PolicyStore
from hyprepro.stores.trajectory_store import TrajectoryStore

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "hopper-gravity"
STORES = {
    "policies": "hopper-gravity.policies.h5",
    "trajectories": "hopper-gravity.trajectories.h5",
    "parents": "hopper-gravity-parent.policies.h5",
    "randomised": "hopper-gravity-randomised.policies.h5",
}


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    """Other tests know the shipped domains alone."""
    yield
    COMPONENTS.pop("HopperGravity", None)
    import sys

    sys.modules.pop("hopper_gravity", None)


@pytest.fixture(scope="module")
def domain() -> ParameterDomain:
    found = resolve(EXAMPLE / "domain.gin", slot="domain").recipe
    assert isinstance(found, ParameterDomain)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the collecting command writes."""
    out = tmp_path_factory.mktemp("hopper")
    settings = ("-g", EXAMPLE / "smoke.gin", "--out", out, "--cache", out / "cache", "--workers", "0")
    done = invoke("collect", EXAMPLE / "collect.gin", *settings)
    assert done.exit_code == 0, done.output
    return out


def test_the_example_is_one_short_file() -> None:
    assert len((EXAMPLE / "hopper_gravity.py").read_text().splitlines()) <= 150
    assert [path.name for path in EXAMPLE.glob("*.py")] == ["hopper_gravity.py"]


def test_gravity_changes_what_a_hopper_does_and_it_falls(domain: ParameterDomain) -> None:
    policies = PolicyControllers(domain.layout, np.zeros((1, domain.layout.size), dtype=np.float32))
    fell = {}
    for task in (domain.sweep[0], domain.sweep[-1]):
        (found,) = run_episodes(domain, task, policies, [Episode(0, Start("fresh", 3))])
        assert found.total is not None
        fell[task] = found.total
    assert 0 < fell["gravity-16.000"] < 0.9 * fell["gravity-4.000"], "the heavier, the sooner"


def test_the_stores_hold_experts_and_episodes_that_end_where_it_fell(folder: Path, domain: ParameterDomain) -> None:
    with (
        PolicyStore.open(folder / STORES["policies"]) as store,
        TrajectoryStore.open(folder / STORES["trajectories"]) as episodes,
    ):
        assert len(store.tasks) == 7
        assert {task for task in store.tasks if store.count(task, "test")} == set(domain.tested)
        every = [each for task in episodes.tasks for each in episodes.episodes(task, None)]
        assert 1 <= min(len(each.actions) for each in every) < domain.horizon
        assert all(each.terminated or len(each.actions) == domain.horizon for each in every)
        assert any(each.terminated for each in every)
        task = store.tasks[0]
        recorded = next(each for each in episodes.episodes(task, "validation"))
        policies = PolicyControllers(store.layout, store.read(task, [recorded.policy_row]))
        (found,) = run_episodes(domain, task, policies, [Episode(0, Start("fresh", recorded.goal_seed))])
        assert found.total == pytest.approx(recorded.rewards.sum(), rel=2e-2)


def test_one_policy_for_all_is_one_and_the_parents_are_not(folder: Path) -> None:
    for name, same in (("randomised", True), ("parents", False)):
        with PolicyStore.open(folder / STORES[name]) as store:
            first, last = (store.read(task, [0]) for task in (store.tasks[0], store.tasks[-1]))
            assert np.array_equal(first, last) == same


def test_steps_of_one_gravity_do_not_stand_for_another(folder: Path) -> None:
    for binding in ("ParentTraining.relabelled=0.5", "ExpertTraining.sharing='experts'"):
        done = invoke("collect", EXAMPLE / "collect.gin", "--dry-run", "-b", binding)
        assert done.exit_code == 2, done.output
        assert "says nothing of another gravity" in " ".join(done.output.replace("│", " ").split())


def test_the_recipe_compares_all_methods_in_a_table_and_a_figure(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    bindings = [f"HopperGravity.{field}='{folder / name}'" for field, name in STORES.items()]
    bindings += ["Recipe.train=(3,)", "Recipe.sweep=False", "GenHypRL.draws=2", "CommonStarts.starts=1"]
    flags = [word for text in bindings for word in ("-b", text)]
    out = ("--out", folder / "run", "--cache", folder / "cache", "--workers", "0")
    done = invoke("run", EXAMPLE / "recipe.gin", "--scale", "smoke", *flags, *out)
    assert done.exit_code == 0, done.output
    result = json.loads((folder / "run" / "result.json").read_text())
    assert {row["method"] for row in result["rows"]} == {
        "gen-hyprl", "gen-hyprl-wo-hypformer", "expert", "nearest-gravity", "interpolation", "gravity-parent",
        "domain-randomisation", "gravity-cloning", "mean-policy",
    }  # fmt: skip
    assert all(row["paper"] is None for row in result["rows"] if "paper" in row)
    table = (folder / "run" / "table.md").read_text()
    assert "By gravity, m/s^2:" in table
    assert "| method                 |" in table
    for word in ("velocit", "Cheetah", "v_x - v*", "MACAW", "m/s:"):
        assert word not in table.split("## Notes")[0] + table.split("Intervals: ")[1], word
    picture = (folder / "run" / "hopper-gravity.svg").read_text()
    assert picture.startswith("<?xml")
    assert (folder / "run" / "hopper-gravity.csv").read_text().splitlines()[0].split(",")[2] == "gravity"


def test_a_method_of_whole_episodes_is_refused(folder: Path, domain: ParameterDomain) -> None:
    data = domain.model_copy(update={field: str(folder / name) for field, name in STORES.items()}).data()
    with pytest.raises(UserError, match="episodes of equal length"):
        MACAW().require(data)
    Retrieval().require(data)


def test_recorded_returns_are_measured_again_under_the_domain_that_is_named(folder: Path) -> None:
    store = folder / STORES["policies"]
    done = invoke("store", "verify", store, "--rollouts", "1", "--goals", "3", "--task", "gravity-4.000",
                  "--domain", EXAMPLE / "domain.gin")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "gravity-4.000" in done.output
