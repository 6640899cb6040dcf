"""The arithmetic of the comparison with EnvPool; `test_envpool.py` runs the library itself."""

from __future__ import annotations

import pytest

from benchmarks.envpool import EnvPoolSpeed, measured_apart, offered_tasks, peer_id, summary
from hyprepro.errors import UserError


def test_envpool_counts_with_the_number_of_environments_that_suits_it_best() -> None:
    figures = EnvPoolSpeed(ours=900.0, rewards=600.0, policy=750.0, peers={1: 200.0, 8: 300.0, 32: 250.0}).figures()
    assert (figures["peer"], figures["peer_environments"]) == (300.0, 8)
    assert figures["peers"] == {"1": 200.0, "8": 300.0, "32": 250.0}
    assert (figures["ratio"], figures["rewards_ratio"], figures["policy_ratio"]) == (3.0, 2.0, 2.5)


def test_tasks_are_averaged_geometrically_and_the_least_ratio_is_told() -> None:
    found = summary(
        {
            "reach": EnvPoolSpeed(ours=100.0, rewards=90.0, policy=80.0, peers={1: 50.0}),
            "door-lock": EnvPoolSpeed(ours=400.0, rewards=90.0, policy=80.0, peers={1: 800.0, 8: 700.0}),
        }
    )
    assert (found["ours"], found["peer"], found["ratio"]) == (200.0, 200.0, 1.0)
    assert (found["rewards"], found["policy"]) == (90.0, 80.0)
    assert found["least_ratio"] == 0.5
    assert {task: each["ratio"] for task, each in found["tasks"].items()} == {"reach": 2.0, "door-lock": 0.5}


def test_an_envpool_without_meta_world_is_told_by_its_version() -> None:
    assert peer_id("button-press-wall") == "MetaWorld/ButtonPressWall-v3"
    have = ["MetaWorld/Reach-v3", "MetaWorld/DoorLock-v3", "Pong-v5"]
    assert offered_tasks(["reach", "door-lock"], have, "1.2.5") == (["reach", "door-lock"], [])
    names, lacking = offered_tasks((), have, "1.2.5")
    assert names == ["reach", "door-lock"], "the tasks that both have"
    assert len(lacking) == 16
    with pytest.raises(UserError, match=r"EnvPool 0\.8\.4 has no Meta-World task door-lock\.") as caught:
        offered_tasks(["reach", "door-lock"], ["MetaWorld/Reach-v3", "Pong-v5"], "0.8.4")
    assert "hyprepro[envpool]" in caught.value.fix
    with pytest.raises(UserError, match="button-press, dial-turn"):
        offered_tasks((), ["Pong-v5"], "0.8.4")


def test_a_task_whose_process_ends_without_figures_is_told_by_its_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    assert measured_apart("no-such-task", episodes=1, rounds=1) == 1
    assert "no-such-task" in capfd.readouterr().err
