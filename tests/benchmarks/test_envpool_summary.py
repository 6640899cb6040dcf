"""The arithmetic of the comparison with EnvPool; `test_envpool.py` runs the library itself."""

from __future__ import annotations

import pytest

from benchmarks.envpool import EnvPoolSpeed, check_offered, peer_id, summary
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
    check_offered(["reach", "door-lock"], ["MetaWorld/Reach-v3", "MetaWorld/DoorLock-v3", "Pong-v5"], "1.2.5")
    with pytest.raises(UserError, match=r"EnvPool 0\.8\.4 has no Meta-World task door-lock\.") as caught:
        check_offered(["reach", "door-lock"], ["MetaWorld/Reach-v3", "Pong-v5"], "0.8.4")
    assert "hyprepro[envpool]" in caught.value.fix
