"""Policies as stable-baselines3 saves them, and back.

The actors of its SAC, TD3 and PPO (and so of DDPG and A2C) with MLP policies are read, of any sizes and two hidden
layers or more; policies squashed by tanh are written for its SAC. Exported files load with `SAC.load` and act alike;
their critics are new, so they are for acting, not for training on.

An SB3 file is a zip of JSON (`data`, with base64 pickles in it, see `sb3_settings`) and state dictionaries. Only the
plain JSON values and `policy.pth`, by torch's restricted unpickler, are read; no pickle is decoded. What wrapped the
environment in training (VecNormalize, gymnasium's wrappers) is not in the file: `import_sb3` cannot see it.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hyprepro.engine.provenance import versions
from hyprepro.engine.stage import write_atomically
from hyprepro.errors import UserError, needing
from hyprepro.policies.layout import MOST_LAYERS, WIDEST, PolicyLayout
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
from hyprepro.stores.exchange.sb3_settings import Acting, Algorithm, check_settings
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter

if TYPE_CHECKING:
    from gymnasium import Space
    from gymnasium.envs.registration import EnvSpec

MAX_MEMBER = 64 * 2**20
"""Bytes of `data` or `policy.pth`; those of our layout have under one million."""

NAMES = {"mean": "mu", "log_std": "log_std"}
"""Our heads and those of SAC's actor; its hidden layers are latent_pi.0, latent_pi.2 and so on."""

HIDDEN = {"SAC": "actor.latent_pi", "TD3": "actor.mu", "PPO": "mlp_extractor.policy_net"}
"""Where the hidden layers are; the last of TD3's is its head."""

BESIDE = {"SAC": (), "TD3": ("actor_target",), "PPO": ("value_net", "mlp_extractor.value_net")}
"""What else there is, besides critics."""

LEAST_LOG_STD = -20.0
"""Of policies without noise; that of SAC's is never below."""

WRAPPERS = ("_orig_mod", "module")
"""Parts of names that torch.compile and DataParallel add; the module acts as before."""

_FEWEST = 2
_FIX_AGAIN = "save the agent again where it was trained: SAC(...).save(FILE)"
_SUMMARY = "policies imported from stable-baselines3 files; their success was not measured"


@dataclass(frozen=True)
class Sb3Policy:
    """What a file tells: finite parameters `[P]` in a layout, the run's seed and training steps (-1 if unknown)."""

    layout: PolicyLayout
    params: NDArray[np.float32]
    seed: int
    step: int


class Accepts(Protocol):
    """What a domain says of policies; a `Domain`."""

    @property
    def title(self) -> str: ...
    @property
    def required_layout(self) -> PolicyLayout | None: ...
    @property
    def tested(self) -> tuple[str, ...]: ...
    def accept(self, layout: PolicyLayout) -> None: ...


def read_sb3(path: Path) -> Sb3Policy:
    """The actor in a file of stable-baselines3's.

    Raises:
        UserError: Not such a file, truncated, tensors that are no plain floats, a value that is not finite, an agent
            that does not act as a layout can say (`check_settings`).
    """
    where = str(path)
    data = _json(_member(path, "data"), where)
    acting = check_settings(data, where)
    weights = io.BytesIO(_member(path, "policy.pth"))
    check_archive(weights, f"{where}:policy.pth", _FIX_AGAIN)
    weights.seek(0)
    layout, params = _actor(load_tensors(weights, f"{where}:policy.pth"), acting, where)
    if not np.isfinite(params).all():
        raise UserError("A weight is not finite.", where=where, fix="leave this file out; its training has diverged")
    return Sb3Policy(layout, params, _whole(data.get("seed"), 31), _whole(data.get("num_timesteps") or None, 62))


def import_sb3(
    files: Sequence[Path],
    out: Path,
    tasks: str | Sequence[str],
    trained_here: bool = False,
    domain: Accepts | None = None,
) -> int:
    """Write the policies of files, in their order, into a policy store; returns how many.

    They are training policies, but those of tasks that the domain only tests.

    Args:
        files: Files of stable-baselines3's.
        out: The store.
        tasks: The task of all of them, or that of each.
        trained_here: The installed simulator is the one that trained them; else its version is recorded as unknown.
        domain: What the tasks are of, if any is known.

    Raises:
        UserError: An output exists, a file is unfit (`read_sb3`), has another layout than the first, or does not act in
            the domain.
    """
    named = [tasks] * len(files) if isinstance(tasks, str) else list(tasks)
    for task in dict.fromkeys(named):
        hdf5.check_task_name(task)
    if not files:
        raise UserError("There is nothing to import.", fix="name at least one file that model.save wrote")
    refuse_existing(out)
    read = [read_sb3(path) for path in files]
    layout = read[0].layout
    for policy, path in zip(read, files, strict=True):
        if policy.layout != layout:
            raise UserError(
                f"A store holds policies of one layout; this file's is {_text(policy.layout)}, and the first one's "
                f"{_text(layout)}.",
                where=f"{path}\n{files[0]}",
                fix="import each kind into a store of its own",
            )
    if domain is not None:
        _check_domain(domain, layout, files[0])
    route = {"name": "stable-baselines3", "summary": _SUMMARY, "files": [path.name for path in files[:500]]}
    recorded = versions() if trained_here else unknown_versions()
    tested = () if domain is None else domain.tested
    with PolicyStoreWriter(out, layout, route, "float32", recorded) as writer:
        for row in sorted(range(len(files)), key=lambda row: named.index(named[row])):
            policy, split = read[row], "test" if named[row] in tested else "train"
            writer.append(named[row], policy.params[None], policy.seed, policy.step, 0.0, 0, 0.0, split)
    return len(files)


def _check_domain(domain: Accepts, layout: PolicyLayout, path: Path) -> None:
    wanted = domain.required_layout
    try:
        domain.accept(layout)
    except UserError as error:
        what = error.what.replace("The store holds policies", "The files hold policies")
        raise UserError(what, where=str(path), fix=f"import policies that were trained on {domain.title}") from None
    if wanted is not None and wanted.layers != layout.layers:
        raise UserError(
            f"The policy's widths differ from {wanted.shape}, those of {domain.title}: it is {layout.shape}.",
            where=str(path),
            fix=f'train with policy_kwargs={{"net_arch": {list(wanted.widths)}}}',
        )


def _text(layout: PolicyLayout) -> str:
    ends = ", ".join(f"[{low:g}, {high:g}]" for low, high in dict.fromkeys(layout.bounds)) or "[-1, 1]"
    return f"{layout.shape} ({', '.join(layout.nonlinearities)}; actions within {ends})"


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
    refuse_existing(out)
    params, meta = store.read(task, [row])[0], store.meta(task)
    made = sb3_model(store.layout, params, environment, int(meta["seed"][row]), int(meta["step"][row]), store.where)
    content = io.BytesIO()
    made.save(content)
    try:
        write_atomically(out, content.getvalue())
    except OSError as error:
        raise UserError(
            "The file could not be written.",
            where=f"{out}: {error.strerror or error}",
            fix="name a file in a folder that exists and is writable",
        ) from None


def _spaces(layout: PolicyLayout, spec: EnvSpec | None) -> tuple[Space[Any], Space[Any]]:
    """The spaces of a task's environment, which `SAC.load(FILE, env=...)` compares; unbounded without one."""
    import gymnasium

    sizes = layout.observation_size, layout.action_size
    if spec is None:
        box = gymnasium.spaces.Box
        low, high = np.array(layout.bounds or [(-1.0, 1.0)] * sizes[1], dtype=np.float32).T
        return box(-np.inf, np.inf, sizes[:1], np.float64), box(low, high, dtype=np.float32)
    env: gymnasium.Env[Any, Any] = gymnasium.make(spec)
    env.close()
    return env.observation_space, env.action_space


def sb3_model(
    layout: PolicyLayout,
    params: NDArray[np.float32],
    environment: EnvSpec | None = None,
    seed: int = UNKNOWN,
    step: int = 0,
    where: str = "the policies",
) -> Any:
    """A `stable_baselines3.SAC` with an actor of these weights `[P]`, fresh critics and the spaces of its task's env.

    Raises:
        UserError: stable-baselines3 is missing, or SAC's network has no such layout.
    """
    if layout.squash != "tanh" or len(set(layout.activations)) > 1:
        raise UserError(
            f"stable-baselines3's SAC has one activation for all layers, and tanh at the end; these policies have "
            f"{' and '.join(layout.activations)}, and {layout.squash}.",
            where=where,
            fix="only policies of one activation that tanh squashes can be exported",
        )
    with needing("stable-baselines3", "sb3"):
        import gymnasium
        import torch
        from stable_baselines3 import SAC

    class Spaces(gymnasium.Env[Any, Any]):
        """Nothing but the spaces."""

        observation_space, action_space = _spaces(layout, environment)

    activation = {"relu": torch.nn.ReLU, "elu": torch.nn.ELU, "tanh": torch.nn.Tanh}[layout.activations[0]]
    kwargs = {"net_arch": list(layout.widths), "activation_fn": activation}
    model = SAC(
        "MlpPolicy", Spaces(), buffer_size=100_000, policy_kwargs=kwargs, seed=seed if seed >= 0 else None, device="cpu"
    )
    ours = {_theirs(name): torch.from_numpy(part.copy()) for name, part in layout.split(params).items()}
    model.actor.load_state_dict({**model.actor.state_dict(), **ours})
    model.num_timesteps = max(step, 0)
    return model


def _theirs(name: str) -> str:
    """The name of one of our weights in SAC's actor."""
    layer, kind = name.split(".")
    if layer in NAMES:
        return f"{NAMES[layer]}.{kind}"
    return f"latent_pi.{2 * int(layer.removeprefix('linear')) - 2}.{kind}"


def _member(path: Path, name: str) -> bytes:
    """One member of the zip (`UserError` if the file is no such zip)."""
    where = str(path)
    if not path.is_file():
        raise UserError("There is no such file.", where=where, fix="correct the path")
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(name).file_size > MAX_MEMBER:
                raise UserError(f"{name!r} is larger than {MAX_MEMBER} bytes.", where=where, fix=_FIX_AGAIN)
            return archive.read(name)
    except KeyError:
        what = f"This zip is not one that stable-baselines3 saved: it has no {name!r}."
        raise UserError(what, where=where, fix=_FIX_AGAIN) from None
    except UserError:
        raise
    except Exception as error:  # zipfile and the decompressors below it raise many kinds
        cut = path.stat().st_size >= MAX_MEMBER or path.read_bytes()[:2] == b"PK"
        what = "The file is truncated or damaged." if cut else "This is not a file that stable-baselines3 saved."
        raise UserError(what, where=f"{where}: {error}", fix=_FIX_AGAIN) from None


def _json(content: bytes, where: str) -> dict[str, Any]:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError("The file's 'data' is not JSON.", where=f"{where}: {error}", fix=_FIX_AGAIN) from None
    if not isinstance(data, dict):
        raise UserError("The file's 'data' is not a JSON object.", where=where, fix=_FIX_AGAIN)
    return data


def _actor(state: dict[str, Any], acting: Acting, where: str) -> tuple[PolicyLayout, NDArray[np.float32]]:
    """The layout of the actor in a state dictionary and its weights, flat `[P]`."""
    import torch

    found = _unwrapped(state, acting.algorithm, where)
    hidden = _hidden(found, HIDDEN[acting.algorithm])
    heads = {"mean": "action_net" if acting.algorithm == "PPO" else "actor.mu"}
    if acting.algorithm == "TD3":
        hidden, heads["mean"] = hidden[:-1], hidden[-1] if hidden else "actor.mu"
    if acting.algorithm == "SAC":
        heads["log_std"] = "actor.log_std"
    layers = {f"linear{number}": name for number, name in enumerate(hidden, start=1)} | heads
    wanted = {f"{theirs}.{kind}": f"{ours}.{kind}" for ours, theirs in layers.items() for kind in ("weight", "bias")}
    noise = {"log_std"} if acting.algorithm == "PPO" else set()
    odd = sorted(set(found) ^ {*wanted, *noise}) or [
        name for name, value in found.items() if not isinstance(value, torch.Tensor)
    ]
    if odd or not _FEWEST <= len(hidden) <= MOST_LAYERS:
        raise _unfit(
            f"The weights are not those of an actor of {acting.algorithm}'s MlpPolicy with two hidden layers or more.",
            f"{where}: {', '.join(name[:80] for name in odd[:3]) or f'{len(hidden)} hidden layers'}",
        )
    for name, tensor in found.items():
        check_floats(tensor, name, where)
    widths = [int(found[f"{name}.bias"].shape[0]) if found[f"{name}.bias"].ndim else 0 for name in hidden]
    low, high = zip(*acting.bounds, strict=True)
    bounds = acting.bounds if set(low) != {-1.0} or set(high) != {1.0} else ()
    if not all(0 < width <= WIDEST for width in (*widths, acting.observation_size, len(acting.bounds))):
        raise _unfit(f"The policy's widths are {widths}; at most {WIDEST} are read.", where)
    layout = PolicyLayout.mlp(
        acting.observation_size, widths, len(low), (acting.activation,) * len(widths), acting.squash, bounds
    )
    specs = {spec.name: spec for spec in layout.layers}
    for theirs, ours in wanted.items():
        shape, known = list(found[theirs].shape), list(specs[ours].shape)
        if shape != known:
            raise _unfit(f"The policy's widths differ from {layout.shape}: {theirs} is {shape}, not {known}.", where)
    parts = {ours: floats(found[theirs], theirs, where) for theirs, ours in wanted.items()}
    return layout, layout.join(_heads(layout, parts, found, acting, where))


def _hidden(found: Iterable[str], prefix: str) -> list[str]:
    """Names of the layers of an MLP, in their order: every second number, an activation between them."""
    layer = re.compile(rf"{re.escape(prefix)}\.(\d+)(\.|$)")
    return [f"{prefix}.{number}" for number in sorted({int(name[1]) for name in map(layer.match, found) if name})]


def _heads(
    layout: PolicyLayout, parts: dict[str, NDArray[np.float32]], found: Mapping[str, Any], acting: Acting, where: str
) -> dict[str, NDArray[np.float32]]:
    """The weights with both heads as a layout has them: a log-std head, and a mean whose action is within [-1, 1].

    PPO's mean is an action as the environment takes it, so the head is rescaled: 2 (a - low) / (high - low) - 1.
    """
    if acting.algorithm == "SAC":
        return parts
    log_std = np.full(layout.action_size, LEAST_LOG_STD, dtype=np.float32)
    if acting.algorithm == "PPO":
        low, high = np.array(acting.bounds).T
        scale = 2.0 / (high - low)
        if tuple(found["log_std"].shape) != log_std.shape:
            shape = list(found["log_std"].shape)
            raise _unfit(f"The policy's log_std is {shape}, not {list(log_std.shape)}.", where)
        log_std = floats(found["log_std"], "log_std", where) + np.log(scale)
        parts["mean.weight"] = parts["mean.weight"] * scale[:, None]
        parts["mean.bias"] = (parts["mean.bias"] - low) * scale - 1.0
    return {**parts, "log_std.weight": np.zeros_like(parts["mean.weight"]), "log_std.bias": log_std}


def _unwrapped(state: dict[str, Any], algorithm: Algorithm, where: str) -> dict[str, Any]:
    """The actor's values, without what torch.compile and DataParallel put into the names of what they wrap."""
    found: dict[str, Any] = {}
    for name, value in state.items():
        plain = ".".join(part for part in name.split(".") if part not in WRAPPERS)
        if plain in found:
            raise _unfit(f"The file has the weight {plain[:80]!r} twice.", f"{where}: {name[:80]}")
        beside = ("critic", "critic_target", *BESIDE[algorithm])
        if not any(plain == each or plain.startswith(f"{each}.") for each in beside):
            found[plain] = value
    return found


def _unfit(what: str, where: str) -> UserError:
    return UserError(what, where=where, fix="save it anew with model.save(FILE), without what was added to its modules")


def _whole(value: Any, bits: int) -> int:
    """A non-negative whole number, or unknown."""
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**bits
    return int(value) if fits else UNKNOWN
