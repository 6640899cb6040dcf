from __future__ import annotations

import errno
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from hyprepro.domains.catalogue import task_spec
from hyprepro.engine import stage as artifacts
from hyprepro.errors import UserError
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import PolicyLayout
from hyprepro.stores.exchange import sb3
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter
from tests.conftest import TinyStores
from tests.stores import hostile

stable_baselines3 = pytest.importorskip("stable_baselines3")


class Spaces(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (39,), np.float64)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)


@pytest.fixture(scope="module")
def exported(tiny_stores: TinyStores, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sb3") / "policy.zip"
    with PolicyStore.open(tiny_stores.policies) as store:
        sb3.export_sb3(store, "reach", 3, path, task_spec("reach", (39, 4)))
    return path


def test_sac_load_acts_as_the_stored_policy(tiny_stores: TinyStores, exported: Path) -> None:
    observations = np.random.default_rng(0).normal(0, 1, (50, 39)).astype(np.float32)
    actions, _ = stable_baselines3.SAC.load(exported, device="cpu").predict(observations, deterministic=True)
    with PolicyStore.open(tiny_stores.policies) as store:
        ours = StackedPolicies(store.layout, store.read("reach", [3])).means(torch.from_numpy(observations))[0]
    np.testing.assert_allclose(actions, ours, rtol=0, atol=2e-6)  # as the README says


def test_there_and_back_is_the_same_policy(tiny_stores: TinyStores, exported: Path, tmp_path: Path) -> None:
    assert sb3.import_sb3([exported, exported], tmp_path / "p.h5", "reach") == 2
    with PolicyStore.open(tiny_stores.policies) as old, PolicyStore.open(tmp_path / "p.h5") as new:
        np.testing.assert_array_equal(new.read("reach", [0, 1]), old.read("reach", [3, 3]))
        for name in ("seed", "step"):
            assert new.meta("reach")[name][0] == old.meta("reach")[name][3]
        assert new.meta("reach")["episodes"].tolist() == [0, 0]
        assert new.versions["metaworld"] == "unknown"
        assert new.verify() == []
    sb3.import_sb3([exported], tmp_path / "here.h5", "reach", trained_here=True)
    with PolicyStore.open(tmp_path / "here.h5") as new:
        assert new.versions["metaworld"] == "3.1.1"


@pytest.mark.sim
def test_an_exported_policy_goes_on_in_its_own_tasks_environment(tiny_stores: TinyStores, exported: Path) -> None:
    import metaworld  # noqa: F401 - registers

    env = gymnasium.make("Meta-World/MT1", env_name="reach-v3", seed=7, disable_env_checker=True)
    agent = stable_baselines3.SAC.load(exported, env=env, device="cpu")
    observation = agent.get_env().reset()
    alone = stable_baselines3.SAC.load(exported, device="cpu")
    for sure in (agent, alone):
        assert sure.observation_space == env.observation_space
    np.testing.assert_array_equal(
        agent.predict(observation, deterministic=True)[0], alone.predict(observation, deterministic=True)[0]
    )


def test_a_task_that_is_no_environments_is_exported_with_unbounded_spaces(exported: Path, tmp_path: Path) -> None:
    sb3.import_sb3([exported], tmp_path / "p.h5", "my-own-task")
    with PolicyStore.open(tmp_path / "p.h5") as store:
        sb3.export_sb3(store, "my-own-task", 0, tmp_path / "a.zip")
    assert np.isinf(stable_baselines3.SAC.load(tmp_path / "a.zip", device="cpu").observation_space.low).all()
    np.testing.assert_array_equal(sb3.read_sb3(tmp_path / "a.zip").params, sb3.read_sb3(exported).params)


WRAPPED: dict[str, Callable[[str], str]] = {
    "a compiled policy": lambda name: f"_orig_mod.{name}",
    "a compiled actor": lambda name: name.replace("actor.", "actor._orig_mod."),
    "a compiled layer": lambda name: name.replace("mu.", "mu._orig_mod."),
    "several devices": lambda name: f"module.{name}",
}


@pytest.mark.parametrize("case", WRAPPED)
def test_names_of_wrapped_modules_are_read(exported: Path, tmp_path: Path, case: str) -> None:
    def rename(state: dict[str, Any]) -> None:
        for name in list(state):
            state[WRAPPED[case](name)] = state.pop(name)

    path = tmp_path / "agent.zip"
    path.write_bytes(weights(rename)(exported.read_bytes(), tmp_path))
    np.testing.assert_array_equal(sb3.read_sb3(path).params, sb3.read_sb3(exported).params)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_floats_are_read_as_sac_load_reads_them(exported: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "agent.zip"
    change = weights(lambda s: s.update({name: torch.nn.Parameter(value.to(dtype)) for name, value in s.items()}))
    path.write_bytes(change(exported.read_bytes(), tmp_path))
    theirs = stable_baselines3.SAC.load(path, device="cpu").actor.latent_pi[0].weight.detach().numpy()
    np.testing.assert_array_equal(sb3.read_sb3(path).params[: theirs.size], theirs.ravel())


def test_a_trained_agents_own_file_is_read(tmp_path: Path) -> None:
    kwargs = {"net_arch": [128, 128]}
    agent = stable_baselines3.SAC("MlpPolicy", Spaces(), buffer_size=10, policy_kwargs=kwargs, device="cpu", seed=5)
    agent.save(tmp_path / "agent.zip")
    found = sb3.read_sb3(tmp_path / "agent.zip")
    assert (found.seed, found.step) == (5, -1)
    np.testing.assert_array_equal(found.params[: 128 * 39], agent.actor.latent_pi[0].weight.detach().flatten())


def weights(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes, Path], bytes]:
    def edit(source: bytes, _: Path) -> bytes:
        import io

        with zipfile.ZipFile(io.BytesIO(source)) as archive:
            state = torch.load(io.BytesIO(archive.read("policy.pth")), weights_only=True)
        change(state)
        return hostile.rezip(source, {"policy.pth": hostile.saved(state)})

    return edit


def settings_pickle(source: bytes, victim: Path) -> bytes:
    """A payload in the JSON, where stable-baselines3 itself would unpickle it. Not run here, and the file is fine."""
    import base64
    import io

    with zipfile.ZipFile(io.BytesIO(source)) as archive:
        data = json.loads(archive.read("data"))
    data["lr_schedule"][":serialized:"] = base64.b64encode(hostile.bare_pickle(victim)).decode()
    return hostile.rezip(source, {"data": json.dumps(data).encode()})


def compressed_and_damaged(source: bytes, _: Path) -> bytes:
    """The members compressed, and bits flipped where the compressed weights lie."""
    import io

    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(source)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with zipfile.ZipFile(io.BytesIO(out.getvalue())) as archive:
        start = archive.getinfo("policy.pth").header_offset
    data = bytearray(out.getvalue())
    data[start + 60 : start + 90] = bytes(30)
    return bytes(data)


def of_a_later_version(source: bytes, _: Path) -> bytes:
    """A zip that says that only version 25.5 of the format can read it."""
    data = bytearray(source)
    place = data.rindex(b"PK\x01\x02")  # policy.pth is a zip of its own, before the list of members
    data[place + 6 : place + 8] = b"\xff\x00"
    return bytes(data)


BAD: dict[str, tuple[Callable[[bytes, Path], bytes], str]] = {
    "text": (lambda s, v: b"no zip at all", "not a file that stable-baselines3 saved"),
    "empty": (lambda s, v: b"", "not a file that stable-baselines3 saved"),
    "truncated": (lambda s, v: s[: len(s) // 2], "truncated"),
    "another zip": (lambda s, v: hostile.saved({"a": torch.ones(1)}), "not one that stable-baselines3 saved"),
    "malicious weights": (lambda s, v: hostile.rezip(s, {"policy.pth": hostile.saved(hostile.Creates(v))}), "was run"),
    "a bare pickle": (lambda s, v: hostile.rezip(s, {"policy.pth": hostile.bare_pickle(v)}), "bare pickle"),
    "damaged weights": (lambda s, v: hostile.rezip(s, {"policy.pth": b"PK\x03\x04 and no more"}), "truncated"),
    "damaged within": (compressed_and_damaged, "truncated or damaged"),
    "a later version": (of_a_later_version, "truncated or damaged"),
    "no JSON": (lambda s, v: hostile.rezip(s, {"data": b"{"}), "not JSON"),
    "a JSON list": (lambda s, v: hostile.rezip(s, {"data": b"[]"}), "not a JSON object"),
    "an empty JSON": (lambda s, v: hostile.rezip(s, {"data": b"{}"}), "does not say what its policy_class is"),
    "NaN": (weights(lambda s: s["actor.mu.bias"].fill_(np.nan)), "not finite"),
    "a missing weight": (weights(lambda s: s.pop("actor.mu.bias")), "two hidden layers"),
    "a number for a weight": (weights(lambda s: s.update({"actor.mu.bias": 1})), "two hidden layers"),
    "a statistic": (weights(lambda s: s.update({"observations.mean": torch.ones(39)})), "two hidden layers"),
    "another shape": (weights(lambda s: s.update({"actor.mu.bias": torch.ones(1, 4)})), "widths differ"),
    "complex weights": (weights(lambda s: s.update({"actor.mu.bias": torch.ones(4) * 1j})), "imaginary"),
    "no data": (weights(lambda s: s.update({"actor.mu.bias": torch.ones(4, device="meta")})), "has no data"),
    "too large": (weights(lambda s: s.update({"actor.mu.bias": 1e300 * torch.ones(4).double()})), "not finite"),
    "twice": (weights(lambda s: s.update({"_orig_mod.actor.mu.bias": torch.ones(4)})), "twice"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_error_and_leaves_nothing(exported: Path, tmp_path: Path, case: str) -> None:
    make, message = BAD[case]
    path = tmp_path / "agent.zip"
    path.write_bytes(make(exported.read_bytes(), tmp_path / "victim"))
    with pytest.raises(UserError, match=message):
        sb3.import_sb3([exported, path], tmp_path / "p.h5", "reach")
    assert [p.name for p in tmp_path.iterdir()] == ["agent.zip"]


@pytest.mark.parametrize("case", ["a bare pickle", "damaged weights"])
def test_advice_about_the_weights_is_about_the_agents_file(exported: Path, tmp_path: Path, case: str) -> None:
    path = tmp_path / "agent.zip"
    path.write_bytes(BAD[case][0](exported.read_bytes(), tmp_path / "victim"))
    with pytest.raises(UserError) as refusal:
        sb3.read_sb3(path)
    assert (refusal.value.where[: len(str(path)) + 11], refusal.value.fix) == (
        f"{path}:policy.pth",
        "save the agent again where it was trained: SAC(...).save(FILE)",
    )


def test_pickles_in_the_settings_are_never_decoded(exported: Path, tmp_path: Path) -> None:
    path, victim = tmp_path / "agent.zip", tmp_path / "victim"
    path.write_bytes(settings_pickle(exported.read_bytes(), victim))
    np.testing.assert_array_equal(sb3.read_sb3(path).params, sb3.read_sb3(exported).params)
    assert not victim.exists()


def test_what_cannot_be_exported(tiny_stores: TinyStores, exported: Path, tmp_path: Path) -> None:
    elu = tmp_path / "elu.h5"
    layout = PolicyLayout.mlp(39, 128, 4, ("elu", "relu"))
    with PolicyStoreWriter(elu, layout, {}) as writer:
        writer.append("reach", np.zeros((1, layout.size)), 0, 0, 1.0, 20, 0.0, "train")
    with PolicyStore.open(elu) as store, pytest.raises(UserError, match="elu and relu"):
        sb3.export_sb3(store, "reach", 0, tmp_path / "a.zip")
    with PolicyStore.open(tiny_stores.policies) as store:
        with pytest.raises(UserError, match="Row 99"):
            sb3.export_sb3(store, "reach", 99, tmp_path / "a.zip")
        with pytest.raises(UserError, match="no task 'reech'"):
            sb3.export_sb3(store, "reech", 0, tmp_path / "a.zip")
        with pytest.raises(UserError, match="exists already"):
            sb3.export_sb3(store, "reach", 0, exported)
    assert [p.name for p in tmp_path.iterdir()] == ["elu.h5"]


def test_a_full_disk_leaves_no_zip(tiny_stores: TinyStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(artifacts.os, "replace", full)
    with PolicyStore.open(tiny_stores.policies) as store, pytest.raises(UserError, match="could not be written"):
        sb3.export_sb3(store, "reach", 0, tmp_path / "a.zip")
    assert not list(tmp_path.iterdir())
