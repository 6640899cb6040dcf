from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import metadata

import pytest

from hyprepro.cli import doctor
from hyprepro.cli.doctor import Finding


def only(check: Callable[[], Iterator[Finding]]) -> Finding:
    (finding,) = check()
    return finding


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Versions that a test pretends are installed; None for an absent package."""
    pretended: dict[str, str | None] = {}
    real = metadata.version

    def version(package: str) -> str:
        found = pretended.get(package, real) if package in pretended else real(package)
        if found is None:
            raise metadata.PackageNotFoundError(package)
        return str(found)

    monkeypatch.setattr(metadata, "version", version)
    return pretended


def test_python(monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(doctor.check_python).status == "ok"
    monkeypatch.setattr(doctor.sys, "version_info", (3, 10, 1))
    assert only(doctor.check_python).status == "failure"


def test_the_other_package_named_gin(installed: dict[str, str | None]) -> None:
    assert only(doctor.check_gin).status == "ok"
    installed["gin"] = "0.1.006"
    found = only(doctor.check_gin)
    assert found.status == "failure"
    assert "gin-config" in found.fix


def test_absent_and_untested_packages(installed: dict[str, str | None]) -> None:
    installed["h5py"], installed["rich"] = None, "0.0.1"
    found = {finding.status: finding for finding in doctor.check_packages()}
    assert "h5py" in found["failure"].detail
    assert "rich 0.0.1 (tested: " in found["warning"].detail
    assert "constraints.txt" in found["failure"].fix


def test_a_build_for_cpus_counts_as_the_tested_version(installed: dict[str, str | None]) -> None:
    tested = doctor.tested_versions()["torch"]
    installed["torch"] = f"{tested}+cpu"
    assert not any("torch" in finding.detail for finding in doctor.check_packages())


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    assert {finding.status for finding in doctor.check_writing()} == {"ok"}
    (tmp_path / "runs").write_text("a file in the way")
    runs, cache = doctor.check_writing()
    assert (runs.status, cache.status) == ("failure", "ok")


def test_few_processors_and_little_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DISK_WANTED", 10**18)
    monkeypatch.setattr(doctor.os, "sched_getaffinity", lambda process: {0}, raising=False)
    assert {finding.check: finding.status for finding in doctor.check_machine()} == {
        "processors": "warning",
        "disk": "warning",
    }


def test_the_report_and_its_exit_code(hyprepro, monkeypatch: pytest.MonkeyPatch) -> None:
    sound, broken = Finding("python", "ok", "3.12.1"), Finding("stores", "failure", "missing", "Collect them.")
    monkeypatch.setattr(doctor, "CHECKS", (lambda: iter([sound]),))
    assert hyprepro("doctor").code == 0
    monkeypatch.setattr(doctor, "CHECKS", (lambda: iter([sound, broken]),))
    outcome = hyprepro("doctor")
    assert outcome.code == 1
    assert "FAIL  stores: missing" in outcome.stdout
    assert "do: Collect them." in outcome.stdout
    assert [finding["status"] for finding in hyprepro("doctor", "--json").json] == ["ok", "failure"]


@pytest.mark.sim
def test_the_simulator_starts() -> None:
    assert only(doctor.check_simulator).status == "ok"


def test_on_another_simulator_results_are_not_comparable(installed: dict[str, str | None]) -> None:
    assert only(doctor.check_comparability).status == "ok"
    installed["mujoco"] = "3.5.0"
    found = only(doctor.check_comparability)
    assert found.status == "failure"
    assert found.detail == "mujoco 3.5.0, not 3.3.0: results are not comparable with any made on these"
    assert found.fix == "pip install mujoco==3.3.0"
    assert doctor.check_comparability in doctor.CHECKS
