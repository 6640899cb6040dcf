"""Policies as stable-baselines3's SAC saves them, and back.

SAC's default policy with `net_arch=[128, 128]` is our Meta-World layout: two hidden ReLU layers, a mean and a log-std
head, tanh. Exported files load with `SAC.load` and act alike; their critics are new, so they are for acting, not for
training on. Imported files give their actor.

An SB3 file is a zip of JSON (`data`, with base64 pickles in it) and state dictionaries. Only the plain JSON values and
`policy.pth`, by torch's restricted unpickler, are read; no pickle is decoded.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyprepro.artifacts import write_atomically
from hyprepro.errors import UserError
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores import hdf5
from hyprepro.stores.foreign import UNKNOWN, check_archive, load_tensors, refuse_existing, unknown_versions
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter
from hyprepro.stores.provenance import versions

MAX_MEMBER = 64 * 2**20
"""Bytes of `data` or `policy.pth`; those of our layout have under one million."""

NAMES = {"linear1": "latent_pi.0", "linear2": "latent_pi.2", "mean": "mu", "log_std": "log_std"}
"""Our layers and those of stable-baselines3's actor."""

_FIX = 'train with SAC("MlpPolicy", env, policy_kwargs={"net_arch": [128, 128]}) on actions in [-1, 1]'
_SUMMARY = "policies imported from stable-baselines3 files; their success was not measured"


@dataclass(frozen=True)
class Sb3Policy:
    """What a file tells: flat parameters `[P]`, the run's seed and training steps (-1 if unknown)."""

    params: NDArray[np.float32]
    seed: int
    step: int


def read_sb3(path: Path) -> Sb3Policy:
    """The actor in a file of stable-baselines3's SAC.

    Raises:
        UserError: Not such a file, truncated, a custom policy, another algorithm, activation, width or action range.
    """
    where = str(path)
    data = _json(_member(path, "data"), where)
    _check_settings(data, where)
    weights = io.BytesIO(_member(path, "policy.pth"))
    check_archive(weights, f"{where}:policy.pth")
    weights.seek(0)
    params = _flat(load_tensors(weights, f"{where}:policy.pth"), where)
    return Sb3Policy(params, _whole(data.get("seed"), 31), _whole(data.get("num_timesteps") or None, 62))


def import_sb3(files: Sequence[Path], out: Path, task: str, trained_here: bool = False) -> int:
    """Write the policies of files, in their order, into a policy store, as training policies; returns how many.

    Args:
        files: Files of stable-baselines3's SAC.
        out: The store.
        task: The task of all of them.
        trained_here: The installed simulator is the one that trained them; else its version is recorded as unknown.

    Raises:
        UserError: An output exists, a file is unfit (`read_sb3`), a value is not finite.
    """
    hdf5.check_task_name(task)
    if not files:
        raise UserError("There is nothing to import.", fix="name at least one file that SAC.save wrote")
    refuse_existing(out)
    route = {"name": "stable-baselines3", "summary": _SUMMARY, "files": [path.name for path in files[:500]]}
    recorded = versions() if trained_here else unknown_versions()
    with PolicyStoreWriter(out, METAWORLD_LAYOUT, route, "float32", recorded) as writer:
        for path in files:
            policy = read_sb3(path)
            if not np.isfinite(policy.params).all():
                raise UserError(
                    "A weight is not finite; nothing was imported.",
                    where=str(path),
                    fix="leave this file out; its training has diverged",
                )
            writer.append(task, policy.params[None], policy.seed, policy.step, 0.0, 0, 0.0, "train")
    return len(files)


def export_sb3(store: PolicyStore, task: str, row: int, out: Path) -> None:
    """Write one policy such that `SAC.load(out)` acts as it does, deterministically.

    Raises:
        UserError: stable-baselines3 is missing, another layout, no such policy, `out` exists.
    """
    if store.layout != METAWORLD_LAYOUT:
        raise UserError(
            f"stable-baselines3's SAC has one activation for all layers; these policies have "
            f"{' and '.join(store.layout.activations)}, or other widths than 39 -> 128 -> 128 -> 4.",
            where=store.where,
            fix="only ReLU/ReLU policies of Meta-World's layout can be exported",
        )
    refuse_existing(out)
    parts = METAWORLD_LAYOUT.split(store.read(task, [row])[0])
    meta = store.meta(task)
    content = io.BytesIO()
    model = _model(parts, int(meta["seed"][row]), int(meta["step"][row]))
    model.save(content)
    try:
        write_atomically(out, content.getvalue())
    except OSError as error:
        raise UserError(
            "The file could not be written.",
            where=f"{out}: {error.strerror or error}",
            fix="name a file in a folder that exists and is writable",
        ) from None


def _model(parts: dict[str, NDArray[np.float32]], seed: int, step: int) -> Any:
    """A SAC model with these actor weights and fresh critics."""
    try:
        import gymnasium
        import torch
        from stable_baselines3 import SAC
    except ImportError:
        raise UserError(
            "stable-baselines3 is not installed.", fix="pip install 'hyprepro[sb3]' -c constraints.txt"
        ) from None

    class Spaces(gymnasium.Env[Any, Any]):
        """Nothing but the spaces."""

        observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (METAWORLD_LAYOUT.observation_size,), np.float32)
        action_space = gymnasium.spaces.Box(-1.0, 1.0, (METAWORLD_LAYOUT.action_size,), np.float32)

    width = METAWORLD_LAYOUT.hidden
    kwargs = {"net_arch": [width, width]}
    model = SAC(
        "MlpPolicy", Spaces(), buffer_size=100_000, policy_kwargs=kwargs, seed=seed if seed >= 0 else None, device="cpu"
    )
    names = {f"{ours}.{kind}": f"{theirs}.{kind}" for ours, theirs in NAMES.items() for kind in ("weight", "bias")}
    state = {**model.actor.state_dict()}
    state.update({names[name]: torch.from_numpy(part.copy()) for name, part in parts.items()})
    model.actor.load_state_dict(state)
    model.num_timesteps = max(step, 0)
    return model


def _member(path: Path, name: str) -> bytes:
    """One member of the zip (`UserError` if the file is no such zip)."""
    where = str(path)
    if not path.is_file():
        raise UserError("There is no such file.", where=where, fix="correct the path")
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(name).file_size > MAX_MEMBER:
                raise UserError(
                    f"{name!r} is larger than {MAX_MEMBER} bytes.",
                    where=where,
                    fix="save the agent again where it was trained: SAC(...).save(FILE)",
                )
            return archive.read(name)
    except KeyError:
        raise UserError(
            f"This zip is not one that stable-baselines3 saved: it has no {name!r}.",
            where=where,
            fix="save the agent again where it was trained: SAC(...).save(FILE)",
        ) from None
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        cut = path.read_bytes()[:2] == b"PK" if path.stat().st_size < MAX_MEMBER else True
        what = "The file is truncated or damaged." if cut else "This is not a file that stable-baselines3 saved."
        raise UserError(
            what, where=f"{where}: {error}", fix="save the agent again where it was trained: SAC(...).save(FILE)"
        ) from None


def _json(content: bytes, where: str) -> dict[str, Any]:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(
            "The file's 'data' is not JSON.",
            where=f"{where}: {error}",
            fix="save the agent again where it was trained: SAC(...).save(FILE)",
        ) from None
    if not isinstance(data, dict):
        raise UserError(
            "The file's 'data' is not a JSON object.",
            where=where,
            fix="save the agent again where it was trained: SAC(...).save(FILE)",
        )
    return data


def _check_settings(data: dict[str, Any], where: str) -> None:
    """Refuse what acts otherwise than our layout, as far as the readable values tell."""
    policy, kwargs, actions = (_readable(data.get(name)) for name in ("policy_class", "policy_kwargs", "action_space"))
    module = str(policy.get("__module__", ""))
    if module != "stable_baselines3.sac.policies":
        raise UserError(
            f"The policy is not SAC's own MlpPolicy; it comes from {module or 'nowhere'!r}.",
            where=where,
            fix="only the actor of SAC('MlpPolicy', ...) is read: train it with that policy",
        )
    activation = str(kwargs.get("activation_fn", "<class 'torch.nn.modules.activation.ReLU'>"))
    if not activation.endswith(".ReLU'>"):
        raise UserError(f"The policy's activation is not ReLU: {activation[:80]}.", where=where, fix=_FIX)
    custom = [name for name in ("features_extractor_class", "features_extractor_kwargs") if kwargs.get(name)]
    if custom or data.get("use_sde"):
        raise UserError(
            f"The policy has its own {custom[0] if custom else 'exploration (gSDE)'}.",
            where=where,
            fix="only the actor of SAC('MlpPolicy', ...) is read: train it with that policy",
        )
    low, high = (str(actions.get(name, "nothing"))[:80] for name in ("low", "high"))
    if set(low.strip("[]").split()) != {"-1."} or set(high.strip("[]").split()) != {"1."}:
        raise UserError(f"Its actions range from {low} to {high}, not from -1 to 1.", where=where, fix=_FIX)


def _readable(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _flat(state: dict[str, Any], where: str) -> NDArray[np.float32]:
    import torch

    wanted = {
        f"actor.{NAMES[layer]}.{kind}": spec
        for spec in METAWORLD_LAYOUT.layers
        for layer, kind in [spec.name.split(".")]
    }
    found = {name: value for name, value in state.items() if name.startswith("actor.")}
    if set(found) != set(wanted) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        odd = sorted(set(found) ^ set(wanted))
        raise UserError(
            "The policy is not SAC's MlpPolicy with two hidden layers.", where=f"{where}: {odd[:3]}", fix=_FIX
        )
    shapes = {name: tuple(value.shape) for name, value in found.items()}
    if any(shapes[name] != spec.shape for name, spec in wanted.items()):
        first, mean = shapes["actor.latent_pi.0.weight"], shapes["actor.mu.weight"]
        raise UserError(
            f"The policy's widths differ from 39 -> 128 -> 128 -> 4: layers of {list(first)} and {list(mean)}.",
            where=where,
            fix=_FIX,
        )
    return METAWORLD_LAYOUT.join({spec.name: found[name].float().numpy() for name, spec in wanted.items()})


def _whole(value: Any, bits: int) -> int:
    """A non-negative whole number, or unknown."""
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**bits
    return int(value) if fits else UNKNOWN
