from __future__ import annotations

from pathlib import Path

import pytest

from hyprepro.domains import stores as places
from hyprepro.domains.metaworld.domain import MetaWorld
from hyprepro.engine.provenance import versions
from hyprepro.errors import UserError
from hyprepro.policies.layout import PolicyLayout
from hyprepro.stores.policy_store import PolicyStoreWriter
from tests.conftest import TinyStores, build_tiny_stores


def test_digests_are_those_that_the_stores_record(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain
    with data.open_policies() as policies, data.open_trajectories() as trajectories:
        assert data.digests == {"policies": policies.digest, "trajectories": trajectories.digest}
        assert policies.computed_digest() == policies.digest
        assert trajectories.computed_digest() == trajectories.digest
    files = data.data()
    assert files.policies.digest == data.digests["policies"]
    assert Path(files.trajectories.path) == tiny_stores.trajectories


@pytest.mark.parametrize("package", ["mujoco", "metaworld"])
def test_a_store_from_another_simulator_is_refused_with_both_versions(tmp_path: Path, package: str) -> None:
    data = build_tiny_stores(tmp_path, versions={**versions(), package: "2.0.0"}).domain
    for read in (data.open_policies, data.open_trajectories):
        with pytest.raises(UserError, match=f"{package} 2.0.0 in the store, {versions()[package]} installed") as caught:
            read()
        assert f"{package}==2.0.0" in caught.value.fix


def test_stores_may_come_from_any_simulator_where_that_is_said(tmp_path: Path) -> None:
    stores = build_tiny_stores(tmp_path, versions={**versions(), "mujoco": "unknown", "metaworld": "unknown"})
    paths = {"policies": str(stores.policies), "trajectories": str(stores.trajectories)}
    assert set(MetaWorld(**paths, checked=False).digests) == set(paths)
    with pytest.raises(UserError, match="mujoco unknown in the store") as caught:
        _ = MetaWorld(**paths).digests
    assert "MetaWorld.checked = False" in caught.value.fix


def test_another_torch_is_no_obstacle(tmp_path: Path) -> None:
    data = build_tiny_stores(tmp_path, versions={**versions(), "torch": "1.0"}).domain
    assert set(data.digests) == {"policies", "trajectories"}


def test_relative_paths_are_found_from_here_then_from_the_root(
    tiny_stores: TinyStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, here = tmp_path / "root", tmp_path / "here"
    for folder in (root / "stores", here):
        folder.mkdir(parents=True)
    monkeypatch.setattr(places, "ROOT", root)
    monkeypatch.chdir(here)
    (root / "stores" / "p.h5").write_bytes(tiny_stores.policies.read_bytes())
    assert MetaWorld(policies="p.h5").policies_path == root / "stores" / "p.h5"
    assert MetaWorld(policies="stores/p.h5").policies_path == root / "stores" / "p.h5"
    (here / "p.h5").write_bytes(tiny_stores.policies.read_bytes())
    assert MetaWorld(policies="p.h5").policies_path == here / "p.h5"


def test_a_missing_store_names_the_binding_and_the_nearest_file(tiny_stores: TinyStores) -> None:
    data = MetaWorld(trajectories=str(tiny_stores.trajectories.with_name("trajectory.h5")))
    with pytest.raises(UserError, match="no store") as caught:
        data.open_trajectories()
    assert caught.value.closest == "trajectories.h5"
    assert "MetaWorld.trajectories" in caught.value.where


def test_policies_of_another_layout_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.h5"
    with PolicyStoreWriter(path, PolicyLayout.mlp(17, 64, 6, ("relu", "relu")), {}):
        pass
    with pytest.raises(UserError, match="another layout"):
        MetaWorld(policies=str(path)).open_policies()


def test_trajectories_of_other_policies_are_refused(tiny_stores: TinyStores, tmp_path: Path) -> None:
    other = build_tiny_stores(tmp_path, seed=1)
    data = MetaWorld(policies=str(other.policies), trajectories=str(tiny_stores.trajectories))
    with pytest.raises(UserError, match="policies of another store"):
        _ = data.digests
