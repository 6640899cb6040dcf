"""Make-An-Agent's published files, read into our stores.

`data.pt`, the single-task files and the unprocessed test files are dictionaries of three tensors with one row a policy:
`param` `[N, 22664]` (linear1, linear2, mean, log_std, weight before bias, as in our layout, ELU after the first hidden
layer), `traj` `[N, 1020]`, our tau, and `task` `[N, 117]`, our tau-hat (data set card and `dataset/process_data.py` of
its repository). The processed files hold latents and embeddings under the same names: without its autoencoder's
checkpoint there is no policy in them, so they are refused.

What the files do not tell is recorded as unknown: SAC seeds, training steps, success rates, goals, library versions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hyprepro.domains.metaworld.tasks import TASKS
from hyprepro.engine.cache import file_digest
from hyprepro.errors import UserError
from hyprepro.policies.layout import PolicyLayout
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
from hyprepro.stores.policy_store import MAX_POLICIES, PolicyStoreWriter
from hyprepro.stores.prompts import PROMPTS_ONLY, TAU_HAT_SIZE, TAU_SIZE, episode_from_prompt
from hyprepro.stores.trajectory_store import TrajectoryStoreWriter

if TYPE_CHECKING:
    import torch

LAYOUT = PolicyLayout.mlp(39, 128, 4, ("elu", "relu"))
WIDTHS = {"param": LAYOUT.size, "traj": TAU_SIZE, "task": TAU_HAT_SIZE}
UNLABELLED = "unlabelled"
"""The task of a file that mixes tasks without labels, as `data.pt` does."""

BLOCK_ROWS = 64
MAPPED_BYTES = 128 * 2**20
"""Pages of a mapped file count as this process's memory until it is unmapped, so it is mapped anew after so many."""

_SUMMARY = "Make-An-Agent's published SAC checkpoints; seeds, steps, success rates and versions are not published"


@dataclass(frozen=True)
class Part:
    """One file, and what becomes of its rows."""

    path: Path
    task: str
    split: Literal["train", "test"]
    rows: int


def plan(train: Sequence[Path], test: Sequence[Path], task: str | None) -> list[Part]:
    """Check every file and name its task: `task` for all, else the file's name if it is a task's, else "unlabelled".

    Raises:
        UserError: No file, one that is not Make-An-Agent's, a bad task name.
    """
    if task is not None:
        hdf5.check_task_name(task)
    files = [(path, "train") for path in train] + [(path, "test") for path in test]
    if not files:
        raise UserError("There is nothing to import.", fix="name at least one of Make-An-Agent's .pt files")
    return [Part(path, task or _task_of(path), split, rows_of(path)) for path, split in files]  # type: ignore[arg-type]


def rows_of(path: Path) -> int:
    """How many policies a file holds, after checking what it is (`UserError`); no policy is read."""
    where = str(path)
    check_archive(path, where)
    return _checked(load_tensors(path, where), where)


def import_maa(
    parts: Sequence[Part],
    out: Path,
    trajectories_out: Path | None = None,
    dtype: Literal["float16", "float32"] = "float32",
) -> dict[str, dict[str, int]]:
    """Write the policies, and with `trajectories_out` the prompts, into stores; both appear complete or neither does.

    A file is streamed: it may be larger than the memory.

    Args:
        parts: From `plan`.
        out: The policy store.
        trajectories_out: The trajectory store of the prompts (`prompts_only` says what it holds).
        dtype: How weights are kept; float32 keeps every bit.

    Returns:
        Number of policies by task and split.

    Raises:
        UserError: An output exists, a value is not finite, a file is damaged, the disk is full.
    """
    refuse_existing(out, trajectories_out)
    files = [{"name": part.path.name, "sha256": file_digest(part.path), "rows": part.rows} for part in parts]
    route: dict[str, Any] = {"name": "make-an-agent", "summary": _SUMMARY, "files": files}
    with PolicyStoreWriter(out, LAYOUT, route, dtype, unknown_versions()) as writer:
        for part in parts:
            for block in _blocks(part, ("param",)):
                writer.append(part.task, block["param"], UNKNOWN, UNKNOWN, 0.0, 0, 0.0, part.split)
        digest = writer.close()
    if trajectories_out is not None:
        try:
            _write_prompts(parts, trajectories_out, route, digest)
        except BaseException:
            out.unlink()
            raise
    counts: dict[str, dict[str, int]] = {}
    for part in parts:
        of_task = counts.setdefault(part.task, {})
        of_task[part.split] = of_task.get(part.split, 0) + part.rows
    return counts


def _write_prompts(parts: Sequence[Part], path: Path, route: dict[str, Any], digest: str) -> None:
    route = {**route, PROMPTS_ONLY: True}
    rows: dict[str, int] = {}
    with TrajectoryStoreWriter(path, route, digest, versions=unknown_versions()) as writer:
        for part in parts:
            for block in _blocks(part, ("traj", "task")):
                for tau, tau_hat in zip(block["traj"], block["task"], strict=True):
                    row = rows.get(part.task, 0)
                    observations, actions, rewards, success_step = episode_from_prompt(tau, tau_hat)
                    writer.append(
                        part.task, observations, actions, rewards, success_step, UNKNOWN, row, part.split
                    )  # fmt: skip
                    rows[part.task] = row + 1


def _blocks(part: Part, names: tuple[str, ...]) -> Iterator[dict[str, NDArray[np.float32]]]:
    """The rows of a file in order, some at a time: float32 copies `[k, width]` by name."""
    where = str(part.path)
    first = 0
    while first < part.rows:
        data = load_tensors(part.path, where)
        if _checked(data, where) != part.rows:
            raise UserError(
                "The file changed while it was read.",
                where=where,
                fix="wait until it is written, then run the same command again",
            )
        end = min(first + _rows_at_once([data[name] for name in names]), part.rows)
        for low in range(first, end, BLOCK_ROWS):
            high = min(low + BLOCK_ROWS, end)
            block = {name: floats(data[name][low:high], name, where) for name in names}
            for name, array in block.items():
                _refuse_not_finite(name, array, low, where)
            yield block
        del data
        first = end


def _rows_at_once(tensors: Sequence[torch.Tensor]) -> int:
    """How many rows of mapped tensors are read before the file is mapped anew: a whole number of blocks."""
    row_bytes = sum(_row_span(tensor) * tensor.element_size() for tensor in tensors)
    return max(1, MAPPED_BYTES // (row_bytes * BLOCK_ROWS)) * BLOCK_ROWS


def _row_span(tensor: torch.Tensor) -> int:
    """Over how many numbers of its storage a row of a tensor `[N, W]` stretches: W if it is contiguous."""
    return tensor.stride(1) * (tensor.shape[1] - 1) + 1


def _refuse_not_finite(name: str, array: NDArray[np.float32], low: int, where: str) -> None:
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if bad.size:
        raise UserError(
            f"A value of {name!r} is not finite (or too large for float32); nothing was imported.",
            where=f"{where}, row {low + bad[0]}",
            fix="leave this row out where the file was made, or fetch the file again",
        )


def _checked(data: dict[str, Any], where: str) -> int:
    """The number of rows of a file's dictionary (`UserError` unless it is Make-An-Agent's, unprocessed)."""
    import torch

    missing = [name for name in WIDTHS if not isinstance(data.get(name), torch.Tensor)]
    if missing:
        raise UserError(
            f"This is not one of Make-An-Agent's data files: it has no tensor {missing[0]!r}.",
            where=f"{where}: {', '.join(sorted(data)[:8]) or 'empty'}",
            fix="a data file has the tensors param, traj and task",
        )
    for name in WIDTHS:
        check_floats(data[name], name, where)
    shapes = {name: tuple(data[name].shape) for name in WIDTHS}
    if shapes["traj"][1:] == shapes["task"][1:] == (128,):
        raise UserError(
            "This is a processed file: latents and embeddings of Make-An-Agent's networks, without policies.",
            where=where,
            fix="import the unprocessed file of the same name (train_data/single task, test_data/*/non-processed)",
        )
    rows = shapes["param"][0] if shapes["param"] else 0
    wanted = {name: (rows, width) for name, width in WIDTHS.items()}
    if shapes != wanted or not 0 < rows <= MAX_POLICIES:
        raise UserError(
            "The shapes of param, traj and task are not Make-An-Agent's.",
            where=f"{where}: " + ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items()),
            fix=", ".join(f"{name} must be [N, {width}]" for name, width in WIDTHS.items()),
        )
    for name in WIDTHS:
        _check_streamable(data[name], name, where)
    return rows


def _check_streamable(tensor: torch.Tensor, name: str, where: str) -> None:
    """Refuse a large tensor whose rows lie among each other: a few of them would bring all of the file into memory."""
    held = tensor.untyped_storage().nbytes()
    if tensor.shape[0] > 1 and tensor.stride(0) < _row_span(tensor) and held > MAPPED_BYTES:
        raise UserError(
            f"The tensor {name!r} is a transposed view of {held / 2**20:.0f} MB: its rows are not contiguous, so it "
            "cannot be read piece by piece.",
            where=where,
            fix="save it anew where it was made, as tensor.contiguous()",
        )


def _task_of(path: Path) -> str:
    name = path.stem.lower().replace("_", "-").replace(" ", "-")
    return name if name in TASKS else UNLABELLED
