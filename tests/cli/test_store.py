from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from tests.stores import hostile


def test_info_names_tasks_counts_and_digest(hyprepro, tiny_stores) -> None:
    shown = hyprepro("store", "info", tiny_stores.policies).stdout
    assert "door-open" in shown
    assert "6/2" in shown
    assert "0.95    0.95  ···················█  20" in shown
    found = hyprepro("store", "info", tiny_stores.trajectories, "--json").json
    assert found["tasks"]["reach"]["counts"] == {"train": 12, "validation": 4, "test": 5}


def test_verify_passes_a_sound_store(hyprepro, tiny_stores) -> None:
    assert "sound" in hyprepro("store", "verify", tiny_stores.policies).stdout
    assert hyprepro("store", "verify", tiny_stores.policies, "--json").json["problems"] == []


def test_verify_finds_a_changed_weight(hyprepro, tiny_stores, tmp_path: Path) -> None:
    path = Path(shutil.copy(tiny_stores.policies, tmp_path / "changed.h5"))
    with h5py.File(path, "r+") as file:
        params = file["policies/reach/params"]
        params[0, 0] = np.nan
    outcome = hyprepro("store", "verify", path).assert_one_panel()
    assert "damaged" in outcome.words
    assert "reach" in outcome.words


def test_a_store_that_is_missing_or_no_store(hyprepro, tmp_path: Path) -> None:
    hyprepro("store", "info", tmp_path / "none.h5").assert_one_panel()
    (tmp_path / "text.h5").write_text("no HDF5")
    hyprepro("store", "verify", tmp_path / "text.h5").assert_one_panel()


def test_verify_runs_policies_again_and_ends_with_1_on_a_contradiction(hyprepro, tiny_stores, monkeypatch) -> None:
    """The tiny stores' policies are noise whose recorded rate, 0.95, is made up."""
    from hyprepro.collect import recheck

    monkeypatch.setattr(recheck, "recorded_steps", lambda store: 3)
    arguments = ("store", "verify", tiny_stores.policies, "--rollouts", 2, "--goals", 10, "--task", "reach")
    shown = hyprepro(*arguments)
    assert shown.code == 1
    assert "contradicted on reach" in shown.stdout
    assert "Traceback" not in shown.stderr
    found = hyprepro(*arguments, "--json").json["rollouts"][0]
    assert (found["episodes"], found["measured"], found["contradicted"]) == (20, 0.0, True)
    hyprepro("store", "verify", tiny_stores.trajectories, "--rollouts", 2).assert_one_panel()


def test_diversity_prints_a_table_or_json_and_draws(hyprepro, tiny_stores, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    arguments = ("store", "diversity", tiny_stores.policies, "--trajectories", tiny_stores.trajectories)
    assert "actions" in hyprepro(*arguments).stdout
    report = hyprepro(*arguments, "--json", "--plot", tmp_path / "d.png").json
    assert [one["task"] for one in report] == ["door-open", "reach", "all"]
    assert (tmp_path / "d.png").read_bytes().startswith(b"\x89PNG")
    hyprepro("store", "info", tiny_stores.policies, "--plot", tmp_path / "i.svg")
    assert b"<svg" in (tmp_path / "i.svg").read_bytes()
    hyprepro("store", "info", tiny_stores.policies, "--plot", tmp_path / "i.svg").assert_one_panel()
    hyprepro("store", "info", tiny_stores.policies, "--plot", tmp_path / "i.txt").assert_one_panel()
    hyprepro("store", "info", tiny_stores.trajectories, "--plot", tmp_path / "t.png").assert_one_panel()


@pytest.mark.parametrize("command", ["info", "verify", "diversity", "export-sb3", "export-minari"])
def test_a_store_of_a_newer_version_is_one_panel(hyprepro, tiny_stores, tmp_path: Path, command: str) -> None:
    kind = tiny_stores.trajectories if command == "export-minari" else tiny_stores.policies
    path = Path(shutil.copy(kind, tmp_path / "newer.h5"))
    with h5py.File(path, "r+") as file:
        file.attrs["schema"] = np.int64(2)
    more = {"export-sb3": ("--task", "reach", "--out", tmp_path / "a.zip"), "export-minari": ("--out", tmp_path / "m")}
    outcome = hyprepro("store", command, path, *more.get(command, ())).assert_one_panel()
    assert "newer hyprepro" in outcome.words
    assert [p.name for p in tmp_path.iterdir()] == ["newer.h5"]


def test_policies_of_others_come_in_and_ours_go_out(hyprepro, tiny_stores, tmp_path: Path) -> None:
    (tmp_path / "reach.pt").write_bytes(hostile.saved(hostile.maa_content(3)))
    (tmp_path / "data.pt").write_bytes(hostile.saved(hostile.maa_content(2)))
    files = (tmp_path / "reach.pt", tmp_path / "data.pt", "--test", tmp_path / "reach.pt")
    out = ("--out", tmp_path / "p.h5", "--trajectories-out", tmp_path / "t.h5")
    found = hyprepro("store", "import-maa", *files, *out, "--json").json
    assert found["tasks"] == {"reach": {"train": 3, "test": 3}, "unlabelled": {"train": 2}}
    shown = hyprepro("store", "info", tmp_path / "p.h5").stdout
    assert "unknown" in shown
    assert "elu/relu" in shown
    assert hyprepro("store", "info", tmp_path / "p.h5", "--json").json["tasks"]["reach"]["success"] is None
    assert "prompts only" in hyprepro("store", "info", tmp_path / "t.h5").stdout
    hyprepro("store", "import-maa", *files, *out).assert_one_panel()

    pytest.importorskip("stable_baselines3")
    zipped = tmp_path / "policy.zip"
    assert not hyprepro("store", "export-sb3", tiny_stores.policies, "--task", "reach", "--out", zipped).code
    imported = hyprepro("store", "import-sb3", zipped, "--task", "reach", "--out", tmp_path / "s.h5")
    assert not imported.code
    for said in (imported, hyprepro("store", "import-sb3", "--help")):  # a file does not tell, so the command must
        assert "VecNormalize" in said.stdout
    hyprepro(
        "store", "export-sb3", tmp_path / "p.h5", "--task", "reach", "--out", tmp_path / "e.zip"
    ).assert_one_panel()
    datasets = hyprepro("store", "export-minari", tiny_stores.trajectories, "--out", tmp_path / "mine", "--json").json
    assert set(datasets["datasets"]) == {"mine/reach-v0", "mine/door-open-v0"}


@pytest.mark.parametrize("odd", [torch.Tensor.to_sparse, lambda v: v.to("meta"), lambda v: 1j * v])
def test_an_odd_tensor_is_one_panel_without_a_word_of_torchs(hyprepro, tmp_path: Path, odd) -> None:
    content = hostile.maa_content(2)
    (tmp_path / "reach.pt").write_bytes(hostile.saved({**content, "param": odd(content["param"])}))
    outcome = hyprepro("store", "import-maa", tmp_path / "reach.pt", "--out", tmp_path / "p.h5")
    outcome.assert_one_panel()
    assert "Warning" not in outcome.words
    assert [p.name for p in tmp_path.iterdir()] == ["reach.pt"]


@pytest.mark.parametrize("command", ["import-maa", "import-sb3"])
def test_a_malicious_file_is_one_panel(hyprepro, tmp_path: Path, command: str) -> None:
    path, victim = tmp_path / "reach.pt", tmp_path / "victim"
    path.write_bytes(hostile.saved(hostile.Creates(victim)))
    hyprepro("store", command, path, "--task", "reach", "--out", tmp_path / "p.h5").assert_one_panel()
    hyprepro("store", command, tmp_path / "none.pt", "--task", "reach", "--out", tmp_path / "p.h5").assert_one_panel()
    assert [p.name for p in tmp_path.iterdir()] == ["reach.pt"]
