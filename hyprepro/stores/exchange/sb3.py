"""Policies as stable-baselines3's SAC saves them, and back.

SAC's default policy with `net_arch=[128, 128]` is our Meta-World layout: two hidden ReLU layers, a mean and a log-std
head, tanh. Exported files load with `SAC.load` and act alike; their critics are new, so they are for acting, not for
training on. Imported files give their actor.

An SB3 file is a zip of JSON (`data`, with base64 pickles in it, see `sb3_settings`) and state dictionaries. Only the
plain JSON values and `policy.pth`, by torch's restricted unpickler, are read; no pickle is decoded. What wrapped the
environment in training (VecNormalize, gymnasium's wrappers) is not in the file: `import_sb3` cannot see it.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hyprepro.engine.provenance import versions
from hyprepro.engine.stage import write_atomically
from hyprepro.errors import UserError
from hyprepro.policies.layout import METAWORLD_LAYOUT, PolicyLayout
from hyprepro.stores import hdf5
from hyprepro.stores.exchange.foreign import (
    UNKNOWN,
    check_archive,
    check_floats,
    floats,
    load_tensors,
    refuse_existing,
    unknown_versions,
)
from hyprepro.stores.exchange.sb3_settings import FIX_WIDTHS, check_settings
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter

if TYPE_CHECKING:
    from gymnasium import Space
    from gymnasium.envs.registration import EnvSpec

MAX_MEMBER = 64 * 2**20
"""Bytes of `data` or `policy.pth`; those of our layout have under one million."""

NAMES = {"linear1": "latent_pi.0", "linear2": "latent_pi.2", "mean": "mu", "log_std": "log_std"}
"""Our layers and those of stable-baselines3's actor."""

WRAPPERS = ("_orig_mod", "module")
"""Parts of names that torch.compile and DataParallel add; the module acts as before."""

_FIX_AGAIN = "save the agent again where it was trained: SAC(...).save(FILE)"
_FIX_SAVE = "save it anew with model.save(FILE), without what was added to its modules"
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
        UserError: Not such a file, truncated, tensors that are no plain floats, an agent that does not act as our
            layout does (`check_settings`).
    """
    where = str(path)
    data = _json(_member(path, "data"), where)
    check_settings(data, where)
    weights = io.BytesIO(_member(path, "policy.pth"))
    check_archive(weights, f"{where}:policy.pth", _FIX_AGAIN)
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


def export_sb3(store: PolicyStore, task: str, row: int, out: Path, environment: EnvSpec | None = None) -> None:
    """Write one policy such that `SAC.load(out)`, with its task's `env` or without, acts as it does, deterministically.

    Args:
        store: The policies.
        task: The policy's task.
        row: Its row.
        out: The file to write.
        environment: How gymnasium makes the task's environment; None: it has none.

    Raises:
        UserError: stable-baselines3 is missing, another layout, no such policy, `out` exists.
    """
    _check_layout(store.layout, store.where)
    refuse_existing(out)
    params, meta = store.read(task, [row])[0], store.meta(task)
    content = io.BytesIO()
    sb3_model(store.layout, params, environment, int(meta["seed"][row]), int(meta["step"][row])).save(content)
    try:
        write_atomically(out, content.getvalue())
    except OSError as error:
        raise UserError(
            "The file could not be written.",
            where=f"{out}: {error.strerror or error}",
            fix="name a file in a folder that exists and is writable",
        ) from None


def _check_layout(layout: PolicyLayout, where: str) -> None:
    if layout != METAWORLD_LAYOUT:
        raise UserError(
            f"stable-baselines3's SAC has one activation for all layers; these policies have "
            f"{' and '.join(layout.activations)}, or other widths than 39 -> 128 -> 128 -> 4.",
            where=where,
            fix="only ReLU/ReLU policies of Meta-World's layout can be exported",
        )


def _spaces(spec: EnvSpec | None) -> tuple[Space[Any], Space[Any]]:
    """The spaces of a task's environment, which `SAC.load(FILE, env=...)` compares; unbounded without one."""
    import gymnasium

    sizes = METAWORLD_LAYOUT.observation_size, METAWORLD_LAYOUT.action_size
    if spec is None:
        box = gymnasium.spaces.Box
        return box(-np.inf, np.inf, sizes[:1], np.float64), box(-1.0, 1.0, sizes[1:], np.float32)
    env: gymnasium.Env[Any, Any] = gymnasium.make(spec)
    env.close()
    return env.observation_space, env.action_space


def sb3_model(
    layout: PolicyLayout,
    params: NDArray[np.float32],
    environment: EnvSpec | None = None,
    seed: int = UNKNOWN,
    step: int = 0,
) -> Any:
    """A `stable_baselines3.SAC` with an actor of these weights `[P]`, fresh critics and the spaces of its task's env.

    Raises:
        UserError: stable-baselines3 is missing, another layout.
    """
    _check_layout(layout, "the policies")
    parts = layout.split(params)
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

        observation_space, action_space = _spaces(environment)

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
                    fix=_FIX_AGAIN,
                )
            return archive.read(name)
    except KeyError:
        raise UserError(
            f"This zip is not one that stable-baselines3 saved: it has no {name!r}.",
            where=where,
            fix=_FIX_AGAIN,
        ) from None
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        cut = path.read_bytes()[:2] == b"PK" if path.stat().st_size < MAX_MEMBER else True
        what = "The file is truncated or damaged." if cut else "This is not a file that stable-baselines3 saved."
        raise UserError(what, where=f"{where}: {error}", fix=_FIX_AGAIN) from None


def _json(content: bytes, where: str) -> dict[str, Any]:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(
            "The file's 'data' is not JSON.",
            where=f"{where}: {error}",
            fix=_FIX_AGAIN,
        ) from None
    if not isinstance(data, dict):
        raise UserError(
            "The file's 'data' is not a JSON object.",
            where=where,
            fix=_FIX_AGAIN,
        )
    return data


def _flat(state: dict[str, Any], where: str) -> NDArray[np.float32]:
    """The actor's weights in a state dictionary, flat `[P]`."""
    import torch

    wanted = {
        f"actor.{NAMES[layer]}.{kind}": spec
        for spec in METAWORLD_LAYOUT.layers
        for layer, kind in [spec.name.split(".")]
    }
    found = _unwrapped(state, where)
    odd = sorted(set(found) ^ set(wanted)) or [name for name in found if not isinstance(found[name], torch.Tensor)]
    if odd:
        raise UserError(
            "The weights are not those of an actor of SAC's MlpPolicy with two hidden layers.",
            where=f"{where}: {', '.join(name[:80] for name in odd[:3])}",
            fix=_FIX_SAVE,
        )
    arrays = {}
    for name, spec in wanted.items():
        check_floats(found[name], name, where)
        if tuple(found[name].shape) != spec.shape:
            raise UserError(
                f"The policy's widths differ from 39 -> 128 -> 128 -> 4: {name} is "
                f"{list(found[name].shape)}, not {list(spec.shape)}.",
                where=where,
                fix=f"{FIX_WIDTHS}; if it was, {_FIX_SAVE}",
            )
        arrays[spec.name] = floats(found[name], name, where)
    return METAWORLD_LAYOUT.join(arrays)


def _unwrapped(state: dict[str, Any], where: str) -> dict[str, Any]:
    """The actor's values, without what torch.compile and DataParallel put into the names of what they wrap."""
    found: dict[str, Any] = {}
    for name, value in state.items():
        plain = ".".join(part for part in name.split(".") if part not in WRAPPERS)
        if plain in found:
            raise UserError(
                f"The file has the weight {plain[:80]!r} twice.", where=f"{where}: {name[:80]}", fix=_FIX_SAVE
            )
        if plain.partition(".")[0] not in ("critic", "critic_target"):
            found[plain] = value
    return found


def _whole(value: Any, bits: int) -> int:
    """A non-negative whole number, or unknown."""
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**bits
    return int(value) if fits else UNKNOWN
