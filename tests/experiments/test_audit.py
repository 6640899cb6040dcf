"""The audit as a recipe: its stages, records, numbers and page, on tiny stores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyprepro.engine.cache import ArtifactCache
from hyprepro.errors import UserError
from hyprepro.experiments.audit import AuditRecipe
from hyprepro.experiments.controls import NeighbourMean, OtherTask, ShuffledPrompt
from hyprepro.experiments.run import plan, run_recipe
from hyprepro.methods.ceilings import Expert
from hyprepro.methods.retrieval import AgreementRetrieval
from hyprepro.reports.audit import AUDIT, AuditRecord, read_audit, summarise_audit, write_audit
from hyprepro.reports.reading import RESULT, read_result
from hyprepro.reports.report import report_of
from hyprepro.reports.summaries import read_summary
from tests.conftest import TinyStores


@pytest.fixture(scope="module")
def recipe(tiny_stores: TinyStores) -> AuditRecipe:
    return AuditRecipe(
        name="audit", title="A toy audit", seen=("door-open", "reach"), domain=tiny_stores.domain, seeds=1,
        methods=(AgreementRetrieval(), Expert()), controls=(OtherTask(), NeighbourMean(neighbours=2)),
        prompts_per_task=2, neighbours=3,
    )  # fmt: skip


@pytest.fixture(scope="module")
def once(recipe: AuditRecipe, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("audit")
    return folder, run_recipe(recipe, folder / "out", ArtifactCache(folder / "cache"), 0)


@pytest.mark.sim
def test_a_record_a_policy_and_rows_for_every_measure(once: tuple[Path, dict[str, Any]]) -> None:
    folder, result = once
    records = read_audit(folder / "out" / AUDIT)
    assert len(records) == 2 * 2 * 3 * 2, "methods, tasks, what is shown, prompts"
    copies = [record for record in records if record.method == "agreement-retrieval" and record.shown == "prompt"]
    assert all(record.weights_nearest == record.actions_nearest == 0 for record in copies), "retrieval copies"
    assert {record.own_task for record in copies} <= {0.0, 1.0}
    experts = [record for record in records if record.method == "expert" and record.shown == "prompt"]
    assert all(record.weights_nearest > 0 for record in experts), "test policies are no training policies"
    rows = {(r["method"], r["protocol"], r["task"], r["statistic"]): r for r in result["rows"]}
    average = rows["expert", "prompt", None, "weights_nearest"]
    assert average["value"] == pytest.approx(np.mean([record.weights_nearest for record in experts]), rel=1e-5)
    assert average["metric"] == "policy_distance"
    assert rows["expert", "prompt", None, "success"]["metric"] == "success_rate"
    minus = {(c["method"], c["minus"], c["task"]) for c in result["comparisons"]}
    assert ("expert", "other-task", None) in minus
    assert ("expert", "neighbours", "reach") in minus


@pytest.mark.sim
def test_the_numbers_follow_from_the_records_and_the_page_from_the_result(once: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = once
    result = read_result(folder / "out" / RESULT)
    _, summary = read_summary(folder / "out", result)
    assert json.loads(json.dumps(summary.rows)) == result["rows"]
    page = (folder / "out" / "table.md").read_text()
    assert page == report_of(result).page(result)
    assert "another task's prompt" in page
    assert "weights, nearest" in page
    assert max(map(len, page.splitlines())) <= 120


@pytest.mark.sim
def test_another_audit_makes_only_what_it_lacks(once: tuple[Path, dict[str, Any]], recipe: AuditRecipe) -> None:
    folder, _ = once
    fewer = recipe.model_copy(update={"controls": (OtherTask(),)})
    cache = ArtifactCache(folder / "cache")
    assert plan(fewer, cache).to_do == ()
    more = recipe.model_copy(update={"controls": (*recipe.controls, ShuffledPrompt())})
    assert {p.stage.label.rpartition(", ")[2] for p in plan(more, cache).to_do} <= {"strict", "shuffled prompt"}
    assert len(plan(more, cache).to_do) == 2 * 2 * 2


@pytest.mark.parametrize(
    ("update", "told"),
    [
        ({"seen": ("reach",)}, "no other task than reach"),
        ({"seen": ()}, "no tasks"),
        ({"controls": (OtherTask(), OtherTask(task="reach"))}, "stands twice"),
        ({"methods": (Expert(), Expert())}, "stands twice"),
        ({"seen": ("raech", "reach")}, "no prompts of the task"),
        ({"prompts_per_task": 50}, "5 test prompts"),
    ],
)
def test_what_cannot_be_audited_is_refused_before_any_work(
    update: dict[str, Any], told: str, recipe: AuditRecipe, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=told):
        plan(recipe.model_copy(update=update), ArtifactCache(tmp_path))


def record(method: str, seed: int, prompt: int, shown: str, success: float) -> AuditRecord:
    return AuditRecord(method, "ours", seed, "seen", "reach", prompt, shown, 1, success, *[0.5] * 7)


def test_differences_are_paired_by_prompt(tmp_path: Path) -> None:
    own = [record("m", seed, prompt, "prompt", float(prompt % 2)) for seed in range(2) for prompt in range(10)]
    other = [each._replace(shown="other-task") for each in own]
    write_audit(tmp_path / AUDIT, own + other)
    assert read_audit(tmp_path / AUDIT) == own + other
    summary = summarise_audit(own + other)
    (average,) = (each for each in summary.comparisons if each["task"] is None)
    assert (average["value"], average["ci95"]) == (0.0, [0.0, 0.0])
    value = next(row for row in summary.rows if row["statistic"] == "success")
    assert value["ci95"][0] < 0.5 < value["ci95"][1]


@pytest.mark.parametrize(("prompts", "told"), [((), "empty"), ((0, 2), "incomplete")])
def test_incomplete_records_are_refused(prompts: tuple[int, ...], told: str) -> None:
    with pytest.raises(UserError, match=told):
        summarise_audit([record("m", 0, prompt, "prompt", 1) for prompt in prompts])


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="not a file of an audit"):
        read_audit(path)
    path.write_text(",".join(AuditRecord._fields) + "\nm,ours,0,seen,reach,0,prompt,1,nan,0,0,0,0,0,0,0\n")
    with pytest.raises(UserError, match="malformed"):
        read_audit(path)
