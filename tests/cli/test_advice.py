"""What a panel advises works for the command that it answers: the same recipe, the same flags."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest


def advised(words: str) -> list[str]:
    """The command in a panel that makes a result, from its name to what comes after it."""
    return shlex.split(words[words.index("hyprepro run") :].partition(";")[0].rstrip("╯╰─ "))[1:]


@pytest.mark.parametrize("command", ["check", "figure"])
def test_a_missing_result_is_made_by_the_same_recipe_with_the_same_flags(
    hyprepro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--scale", "smoke", "--variant", "released"]
    words = hyprepro(command, "table2", *flags).assert_one_panel().words
    assert advised(words) == ["run", "table2", *flags]
    assert "; hyprepro adopt runs/table2/smoke-released" in words
    assert hyprepro(*advised(words), "--dry-run").code == 0


@pytest.mark.parametrize(
    ("recipe", "component", "fields"),
    [
        ("table1", "MetaWorld", ("policies", "trajectories")),
        ("figure4", "MetaWorld", ("policies", "trajectories")),
        ("table4", "CheetahVel", ("policies", "trajectories", "parents")),
        ("velocities", "CheetahVel", ("policies",)),
    ],
)
def test_a_store_that_is_not_there_is_bound_in_the_component_that_the_recipe_has(
    hyprepro, recipe: str, component: str, fields: tuple[str, ...], tmp_path: Path
) -> None:
    for field in fields:
        binding = f"{component}.{field}='{tmp_path / 'nowhere.h5'}'"
        words = hyprepro("run", recipe, "--dry-run", "-b", binding).assert_one_panel().words
        assert f"do bind {component}.{field} to a store" in words


def test_imported_stores_too(hyprepro, tmp_path: Path) -> None:
    bindings = ["-b", "MetaWorld.checked=False", "-b", f"MetaWorld.policies='{tmp_path / 'nowhere.h5'}'"]
    words = hyprepro("run", "table1", "--dry-run", *bindings).assert_one_panel().words
    assert "do bind MetaWorld.policies to a store" in words


def test_an_unknown_task_has_its_closest_and_an_unlike_one_has_none(hyprepro) -> None:
    for task, says in (("raech", "The closest is 'reach'."), ("zzz", "Unknown Meta-World task 'zzz'. There are")):
        binding = f"MetaWorldCollection.unseen_tasks=('{task}',)"
        words = hyprepro("collect", "metaworld", "--dry-run", "-b", binding).assert_one_panel().words
        assert says in words
        assert not re.search(r"closest is ''", words)


@pytest.mark.parametrize("binding", ["seen_tasks=('reach', 'reach')", "unseen_tasks=('reach', 'door-unlock')"])
def test_a_task_that_stands_twice_is_refused_before_it_is_collected_twice(hyprepro, binding: str) -> None:
    bind = f"MetaWorldCollection.{binding}"
    words = hyprepro("collect", "metaworld-smoke", "--dry-run", "-b", bind).assert_one_panel().words
    assert "stands twice among seen_tasks and unseen_tasks" in words


@pytest.mark.parametrize("command", [("diff", "table1"), ("figure",)])
@pytest.mark.parametrize("name", ["runs/nothing", "runs/nothing/table.md"])
def test_a_path_without_a_result_is_not_taken_for_a_recipe(hyprepro, command: tuple[str, ...], name: str) -> None:
    words = hyprepro(*command, name).assert_one_panel().words
    assert "There is no result here." in words
    assert "hyprepro run table1" in words
