from __future__ import annotations

import errno
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hyprepro.domains.metaworld import maa
from hyprepro.errors import UserError
from hyprepro.policies.forward import StackedPolicies
from hyprepro.stores import atomic
from hyprepro.stores.policy_store import PolicyStore
from hyprepro.stores.prompts import read_prompts
from hyprepro.stores.trajectory_store import TrajectoryStore
from tests.stores import hostile


def write(path: Path, rows: int = 5, seed: int = 0) -> dict[str, torch.Tensor]:
    content = hostile.maa_content(rows, seed)
    torch.save(content, path)
    return content


def test_policies_and_prompts_come_back_bit_by_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maa, "MAPPED_BYTES", 1)  # mapped anew for every block
    monkeypatch.setattr(maa, "BLOCK_ROWS", 2)
    train, test = write(tmp_path / "door-open.pt", 5), write(tmp_path / "test.pt", 3, seed=1)
    (tmp_path / "test").mkdir()
    (tmp_path / "test.pt").rename(tmp_path / "test" / "door-open.pt")
    parts = maa.plan([tmp_path / "door-open.pt"], [tmp_path / "test" / "door-open.pt"], None)
    counts = maa.import_maa(parts, tmp_path / "p.h5", tmp_path / "t.h5")
    assert counts == {"door-open": {"train": 5, "test": 3}}
    with PolicyStore.open(tmp_path / "p.h5") as policies, TrajectoryStore.open(tmp_path / "t.h5") as trajectories:
        assert policies.layout.activations == ("elu", "relu")
        assert policies.verify() == trajectories.verify() == []
        assert trajectories.policies_digest == policies.digest
        for split, content in (("train", train), ("test", test)):
            rows = policies.rows("door-open", split)
            np.testing.assert_array_equal(policies.read("door-open", rows), content["param"])
            prompts = read_prompts(trajectories, "door-open", split)
            np.testing.assert_array_equal(prompts.tau, content["traj"].float())
            np.testing.assert_array_equal(prompts.tau_hat, content["task"].float())
            np.testing.assert_array_equal(prompts.policy_rows, rows)


def test_a_flipped_bit_is_not_taken_for_a_weight(tmp_path: Path) -> None:
    write(tmp_path / "reach.pt")
    data = bytearray((tmp_path / "reach.pt").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "reach.pt").write_bytes(data)
    with pytest.raises(UserError, match="not what the archive says of it"):
        maa.plan([tmp_path / "reach.pt"], [], None)


def test_the_parameters_are_in_their_order(tmp_path: Path) -> None:
    """A torch module built as Make-An-Agent's, flattened in its order, acts as the imported policy does."""
    names = [torch.nn.Linear(39, 128), torch.nn.Linear(128, 128), torch.nn.Linear(128, 4), torch.nn.Linear(128, 4)]
    content = hostile.maa_content(1)
    content["param"] = torch.cat([p.detach().flatten() for layer in names for p in (layer.weight, layer.bias)])[None]
    torch.save(content, tmp_path / "reach.pt")
    maa.import_maa(maa.plan([tmp_path / "reach.pt"], [], None), tmp_path / "p.h5")
    x = torch.randn(7, 39)
    hidden = torch.relu(names[1](torch.nn.functional.elu(names[0](x))))
    with PolicyStore.open(tmp_path / "p.h5") as store:
        found = StackedPolicies(store.layout, store.read("reach", [0])).means(x)[0]
    torch.testing.assert_close(found, torch.tanh(names[2](hidden)))


LIES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "rows of a larger tensor": lambda v: torch.cat([v] * 3)[5:10],
    "columns of a larger tensor": lambda v: torch.cat([v, v], 1)[:, : v.shape[1]],
    "a transpose": lambda v: v.T.contiguous().T,
    "a negative view": lambda v: torch._neg_view(-v),
    "of a live network": lambda v: v.clone().requires_grad_(),
    "a parameter": torch.nn.Parameter,
}


@pytest.mark.parametrize("case", LIES)
def test_numbers_are_read_however_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.setattr(maa, "BLOCK_ROWS", 2)
    content = hostile.maa_content(5)
    (tmp_path / "reach.pt").write_bytes(hostile.saved({name: LIES[case](value) for name, value in content.items()}))
    maa.import_maa(maa.plan([tmp_path / "reach.pt"], [], None), tmp_path / "p.h5", tmp_path / "t.h5")
    with PolicyStore.open(tmp_path / "p.h5") as policies, TrajectoryStore.open(tmp_path / "t.h5") as trajectories:
        np.testing.assert_array_equal(policies.read("reach", range(5)), content["param"])
        np.testing.assert_array_equal(read_prompts(trajectories, "reach", "train").tau, content["traj"].float())


def test_a_transpose_that_is_too_large_for_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = hostile.maa_content(5)
    monkeypatch.setattr(maa, "MAPPED_BYTES", content["param"].nbytes - 1)
    write(tmp_path / "data.pt")
    assert maa.rows_of(tmp_path / "data.pt") == 5
    (tmp_path / "reach.pt").write_bytes(hostile.saved({**content, "param": content["param"].T.contiguous().T}))
    with pytest.raises(UserError, match="'param' is a transposed view") as refusal:
        maa.plan([tmp_path / "reach.pt"], [], None)
    assert "contiguous()" in refusal.value.fix


def test_what_is_not_told_is_recorded_as_unknown(tmp_path: Path) -> None:
    write(tmp_path / "data.pt")
    maa.import_maa(maa.plan([tmp_path / "data.pt"], [], None), tmp_path / "p.h5")
    with PolicyStore.open(tmp_path / "p.h5") as store:
        assert store.tasks == ("unlabelled",)
        meta = store.meta("unlabelled")
        assert set(meta["seed"]) == set(meta["step"]) == {-1}
        assert set(meta["episodes"]) == {0}
        assert store.versions["metaworld"] == store.versions["mujoco"] == "unknown"
        assert len(store.route["files"][0]["sha256"]) == 64


def nan(content: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    content[name][2, 7] = float("nan")
    return content


BAD: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "text": (lambda _: b"not a file of tensors", "not a file that torch.save wrote"),
    "empty": (lambda _: b"", "not a file that torch.save wrote"),
    "a bare malicious pickle": (hostile.bare_pickle, "bare pickle or PyTorch's format"),
    "an archive with a malicious pickle": (lambda v: hostile.saved(hostile.Creates(v)), "Nothing in it was run"),
    "a malicious value": (
        lambda v: hostile.saved({**hostile.maa_content(1), "more": hostile.Creates(v)}),
        "Nothing in it was run",
    ),
    "the old format": (lambda _: old_format(), "from before 1.6"),
    "a list": (lambda _: hostile.saved([1, 2]), "not hold a dictionary"),
    "other names": (lambda _: hostile.saved({"weights": torch.ones(1)}), "no tensor 'param'"),
    "a number for a tensor": (lambda _: hostile.saved({**hostile.maa_content(1), "traj": 3}), "no tensor 'traj'"),
    "another width": (lambda _: hostile.saved({**hostile.maa_content(2), "param": torch.ones(2, 5)}), "shapes"),
    "fewer prompts": (lambda _: hostile.saved({**hostile.maa_content(2), "task": torch.ones(1, 117)}), "shapes"),
    "no rows": (lambda _: hostile.saved(hostile.maa_content(0)), "shapes"),
    "integers": (
        lambda _: hostile.saved({**hostile.maa_content(1), "traj": torch.ones(1, 1020, dtype=torch.int64)}),
        "plain array",
    ),
    "complex weights": (
        lambda _: hostile.saved({**hostile.maa_content(1), "param": 1j * torch.ones(1, 22664)}),
        "imag",
    ),
    "no data": (lambda _: hostile.saved({k: v.to("meta") for k, v in hostile.maa_content(1).items()}), "has no data"),
    "one row said to be a million": (
        lambda _: hostile.saved({n: torch.ones(1, w).expand(1_000_000, w) for n, w in hostile.MAA_WIDTHS.items()}),
        "is a view",
    ),
    "processed": (
        lambda _: hostile.saved(
            {"param": torch.ones(4, 2, 1024), "traj": torch.ones(4, 128), "task": torch.ones(4, 128)}
        ),
        "processed file",
    ),
    "truncated": (lambda _: hostile.saved(hostile.maa_content(1))[:60_000], "truncated"),
    "not finite weights": (lambda _: hostile.saved(nan(hostile.maa_content(3), "param")), "not finite"),
    "not finite prompts": (lambda _: hostile.saved(nan(hostile.maa_content(3), "traj")), "not finite"),
    "compressed": (lambda _: compressed(), "not one that torch.save wrote"),
}


def old_format() -> bytes:
    import io

    buffer = io.BytesIO()
    torch.save(hostile.maa_content(1), buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def compressed() -> bytes:
    import io

    out, source = io.BytesIO(), io.BytesIO(hostile.saved(hostile.maa_content(1)))
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return out.getvalue()


def test_the_payload_is_real(tmp_path: Path) -> None:
    hostile.assert_it_would_work(tmp_path / "victim")


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_error_and_leaves_nothing(tmp_path: Path, case: str) -> None:
    make, message = BAD[case]
    path, victim = tmp_path / "reach.pt", tmp_path / "victim"
    path.write_bytes(make(victim))
    with pytest.raises(UserError, match=message):
        maa.import_maa(maa.plan([path], [], None), tmp_path / "p.h5", tmp_path / "t.h5")
    assert [p.name for p in tmp_path.iterdir()] == ["reach.pt"]


@pytest.mark.parametrize("existing", ["p.h5", "t.h5"])
def test_an_existing_output_is_kept(tmp_path: Path, existing: str) -> None:
    write(tmp_path / "reach.pt")
    (tmp_path / existing).write_bytes(b"mine")
    with pytest.raises(UserError, match="exists already"):
        maa.import_maa(maa.plan([tmp_path / "reach.pt"], [], None), tmp_path / "p.h5", tmp_path / "t.h5")
    assert (tmp_path / existing).read_bytes() == b"mine"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("appends", [0, 3, 8])
def test_a_full_disk_leaves_neither_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, appends: int) -> None:
    """With 7 columns a policy store is complete after 7 appends; the eighth belongs to the prompts."""
    write(tmp_path / "reach.pt")
    real, done = atomic.extend, []

    def full(data: object, rows: object) -> None:
        done.append(1)
        if len(done) > appends:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(data, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(atomic, "extend", full)
    with pytest.raises(UserError, match="disk is full"):
        maa.import_maa(maa.plan([tmp_path / "reach.pt"], [], None), tmp_path / "p.h5", tmp_path / "t.h5")
    assert [p.name for p in tmp_path.iterdir()] == ["reach.pt"]


def test_names_of_tasks(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.pt" for name in ("door-open", "Peg_Insert_Side", "data")]
    for path in paths:
        write(path, 1)
    assert [part.task for part in maa.plan(paths, [], None)] == ["door-open", "peg-insert-side", "unlabelled"]
    assert [part.task for part in maa.plan(paths, [], "reach")] == ["reach"] * 3
    with pytest.raises(UserError, match="task name"):
        maa.plan(paths, [], "../reach")
    with pytest.raises(UserError, match="nothing to import"):
        maa.plan([], [], None)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """95 MB of file, mapped 4 MB at a time: after a file of 24 MB the process hardly grows any more."""
    for file, rows in (("reach.pt", 250), ("data.pt", 1000)):
        torch.save({name: torch.zeros(rows, width) for name, width in hostile.MAA_WIDTHS.items()}, tmp_path / file)
    script = f"""
from pathlib import Path
from hyprepro.domains.metaworld import maa
maa.MAPPED_BYTES = 4 * 2**20
folder = Path({str(tmp_path)!r})
def peak():  # of this program alone; the peak in getrusage includes that of the parent it was forked from
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
maa.import_maa(maa.plan([folder / "reach.pt"], [], None), folder / "small.h5")
before = peak()
maa.import_maa(maa.plan([folder / "data.pt"], [], None), folder / "p.h5")
print(1024 * (peak() - before))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    size = (tmp_path / "data.pt").stat().st_size
    assert size > 90e6
    assert int(done.stdout) < size / 8, done.stdout
