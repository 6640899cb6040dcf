"""Sound files of every kind that the product reads, small, each with the command lines that read it."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from hyprepro.policies.layout import PolicyLayout
from hyprepro.stores.policy_store import PolicyStoreWriter
from hyprepro.stores.trajectory_store import TrajectoryStoreWriter

ROOT = Path(__file__).resolve().parents[1]
LAYOUT = PolicyLayout.mlp(39, (8, 8), 4, ("relu", "relu"))
MAA_WIDTHS = {"param": 22664, "traj": 1020, "task": 117}
STEPS = 66
_BOX = {":type:": "<class 'gymnasium.spaces.box.Box'>", ":serialized:": "gASV", "dtype": "float32"}
SB3 = {
    "policy_class": {
        ":type:": "<class 'abc.ABCMeta'>",
        "__module__": "stable_baselines3.sac.policies",
        "__init__": "<function SACPolicy.__init__ at 0x7f0000000000>",
    },
    "policy_kwargs": {":type:": "<class 'dict'>", "net_arch": [8, 8], "use_sde": False},
    "observation_space": {**_BOX, "_shape": [39]},
    "action_space": {**_BOX, "_shape": [4], "low": "[-1. -1. -1. -1.]", "high": "[1. 1. 1. 1.]"},
    "seed": 3,
    "num_timesteps": 1000,
    "use_sde": False,
}
"""What `SAC.save` says of an agent, as far as it is read."""


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: What reports call it.
        form: What it is made of: "hdf5", "zip" or "text"; says which damage beyond bytes is possible.
        make: Writes a sound one at a path.
        reads: Command lines that read it, with FILE, FOLDER and OUT for its name, its folder's and what may be written;
            "prompts" and "content" are read as from Python.
        library: What reads it below the product.
    """

    name: str
    form: str
    make: Callable[[Path], None]
    reads: tuple[tuple[str, ...], ...]
    library: str


def _policies(path: Path) -> None:
    rng = np.random.default_rng(0)
    with PolicyStoreWriter(path, LAYOUT, {"route": "synthetic"}) as writer:
        for task in ("door-open", "reach"):
            params = rng.normal(0.0, 0.1, (9, LAYOUT.size))
            writer.append(task, params[:6], np.arange(6) % 2, 1000 * np.arange(6), 0.95, 20, 1500.0, "train")
            writer.append(task, params[6:], 2, 1000 * np.arange(3), 0.9, 20, 1400.0, "test")


def _trajectories(path: Path) -> None:
    rng = np.random.default_rng(0)
    with TrajectoryStoreWriter(path, {"route": "synthetic"}, "0" * 64) as writer:
        for number in range(4):
            observations = rng.normal(0.0, 0.3, (STEPS + 1, 39)).astype(np.float32)
            actions = rng.uniform(-1.0, 1.0, (STEPS, 4)).astype(np.float32)
            split = ("train", "train", "validation", "test")[number]
            writer.append("reach", observations, actions, rng.uniform(0.0, 10.0, STEPS), 61, 7 + number, -1, split)


def _minari(path: Path) -> None:
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for number in range(2):
            group = file.create_group(f"episode_{number}")
            group.create_dataset("observations", data=rng.normal(0.0, 0.3, (STEPS + 1, 39)), compression="gzip")
            group.create_dataset("actions", data=rng.uniform(-1.0, 1.0, (STEPS, 4)).astype(np.float32))
            group.create_dataset("infos/success", data=np.arange(STEPS) >= 61)
            group.attrs.update({"id": number, "total_steps": STEPS})
    (path.parent / "metadata.json").write_text("{}")


def _arrays(path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez_compressed(
        path.with_suffix(".npz"),
        observations=rng.normal(0.0, 0.3, (STEPS + 1, 39)),
        actions=rng.uniform(-1.0, 1.0, (STEPS, 4)),
        success=np.int64(61),
    )
    path.with_suffix(".npz").replace(path)


def _maa(path: Path) -> None:
    import torch

    generator = torch.Generator().manual_seed(0)
    torch.save({name: torch.randn(2, width, generator=generator) for name, width in MAA_WIDTHS.items()}, path)


def _sb3(path: Path) -> None:
    """What `SAC.save` writes of an agent of 39 numbers and 4 actions, as far as it is read."""
    import torch

    sizes = {"latent_pi.0": (8, 39), "latent_pi.2": (8, 8), "mu": (4, 8), "log_std": (4, 8)}
    state = {}
    for name, (rows, columns) in sizes.items():
        state[f"actor.{name}.weight"] = torch.full((rows, columns), 0.01)
        state[f"actor.{name}.bias"] = torch.zeros(rows)
    weights = io.BytesIO()
    torch.save(state, weights)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", json.dumps(SB3))
        archive.writestr("policy.pth", weights.getvalue())
        archive.writestr("_stable_baselines3_version", "2.7.0")


def _result(path: Path) -> None:
    shutil.copy(ROOT / "results" / "tokens" / "desktop" / "result.json", path)


def _records(path: Path) -> None:
    source = ROOT / "results" / "tokens" / "desktop"
    shutil.copy(source / "result.json", path.parent / "result.json")
    shutil.copy(source / "records.csv.gz", path)


KINDS: Sequence[Kind] = (
    Kind(
        "policy store", "hdf5", _policies,
        (("store", "info", "FILE"), ("store", "verify", "FILE"), ("store", "diversity", "FILE"), ("content", "FILE")),
        "HDF5",
    ),
    Kind(
        "trajectory store", "hdf5", _trajectories,
        (("store", "info", "FILE"), ("store", "verify", "FILE"), ("prompts", "FILE"), ("content", "FILE")),
        "HDF5",
    ),
    Kind("Minari set", "hdf5", _minari, (("prompts", "FILE"),), "HDF5"),
    Kind("arrays of numpy", "zip", _arrays, (("prompts", "FILE"),), "numpy"),
    Kind(
        "Make-An-Agent file", "zip", _maa,
        (("store", "import-maa", "FILE", "--task", "reach", "--out", "OUT"),
         ("store", "import-maa", "FILE", "--task", "reach", "--out", "OUT", "--trajectories-out", "OUT2")),
        "torch",
    ),
    Kind("SB3 zip", "zip", _sb3, (("store", "import-sb3", "FILE", "--task", "reach", "--out", "OUT"),), "torch"),
    Kind(
        "result", "text", _result,
        (("report", "FILE", "--out", "OUT"), ("check", "tokens", "--result", "FILE"), ("diff", "FILE", "tokens")),
        "json",
    ),
    Kind(
        "records",
        "gzip",
        _records,
        (("check", "tokens", "--result", "FOLDER"), ("diff", "FOLDER", "tokens")),
        "gzip",
    ),
)  # fmt: skip


def named(name: str) -> Kind:
    """The kind of a name."""
    return next(kind for kind in KINDS if kind.name == name)
