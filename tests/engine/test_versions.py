from __future__ import annotations

from hyprepro.engine.provenance import PACKAGES, identity_gaps, versions


def test_versions_names_every_package_and_nothing_about_the_machine() -> None:
    found = versions()
    assert set(found) == {*PACKAGES, "python", "platform"}
    assert found["mujoco"] == "3.3.0"
    assert "/" not in "".join(found.values())


def test_another_simulator_is_a_gap_and_another_torch_is_not() -> None:
    now = {"metaworld": "3.1.1", "mujoco": "3.3.0", "torch": "2.9"}
    assert identity_gaps({**now, "torch": "2.8"}, now) == []
    assert identity_gaps({**now, "mujoco": "3.6.0"}, now) == [("mujoco", "3.6.0", "3.3.0")]


def test_an_unstated_version_is_a_gap() -> None:
    now = {"metaworld": "3.1.1", "mujoco": "3.3.0"}
    assert identity_gaps({"mujoco": "3.3.0"}, now) == [("metaworld", "unknown", "3.1.1")]
    assert len(identity_gaps({}, {})) == 2
