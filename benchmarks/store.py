"""What a store costs while training: memory as it grows, and time against policies that are in memory already.

Random batches of stored policies, as fast as from memory and in memory that does not grow with the store.

A store is compressed in chunks of rows, so a random row costs a whole chunk. A spool reads every chunk once, in order,
into an unnamed temporary file of plain rows, from which any row is one small read; the system caches what fits.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from hyprepro.engine.training import seeded
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.autoencoder import LinearAutoencoder
from hyprepro.gen_hyprl.autoencoder_net import AutoencoderJob
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter

_SPOOL_BLOCK = 64


class PolicySpool:
    """The policies of some tasks as plain float32 rows on disk; a context manager.

    Args:
        store: An open policy store; it is not needed any more afterwards.
        tasks: Whose policies, task by task; all tasks if None.
        split: Only policies of this split; all if None.
        folder: Where the temporary file lies: as large as the policies in float32. The system's place if None.

    Raises:
        UserError: A damaged store, or a full disk.
    """

    def __init__(
        self,
        store: PolicyStore,
        tasks: tuple[str, ...] | None = None,
        split: str | None = None,
        folder: Path | None = None,
    ) -> None:
        self.size = store.layout.size
        self._rows = 0
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by `close`
        try:
            for task in store.tasks if tasks is None else tasks:
                self._copy(store, task, store.rows(task, split))
        except OSError as error:
            self.close()
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise UserError(
                "The disk is full: policies could not be unpacked.",
                where=str(folder or tempfile.gettempdir()),
                fix="free some space, or set TMPDIR to a folder with more",
            ) from None
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return self._rows

    def __enter__(self) -> PolicySpool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the space on disk back."""
        self._file.close()

    def read(self, rows: ArrayLike) -> NDArray[np.float32]:
        """Parameters of the given rows, in the given order `[k, P]` float32.

        Raises:
            IndexError: A row that does not exist.
        """
        wanted = np.asarray(rows, dtype=np.int64).reshape(-1)
        if wanted.size and not (wanted.min() >= 0 and wanted.max() < self._rows):
            raise IndexError(f"rows {wanted.min()} to {wanted.max()} of {self._rows} policies")
        out = np.empty((wanted.size, self.size), dtype=np.float32)
        for row, target in zip(wanted.tolist(), out, strict=True):
            os.preadv(self._file.fileno(), [target.data], row * self.size * 4)
        return out

    def _copy(self, store: PolicyStore, task: str, rows: NDArray[np.int64]) -> None:
        for low in range(0, len(rows), _SPOOL_BLOCK):
            block = store.read(task, rows[low : low + _SPOOL_BLOCK])
            left = block.reshape(-1).view(np.uint8).data
            while left:
                left = left[self._file.write(left) :]
            self._rows += len(block)


_TASK = "reach"
_BLOCK = 20


def measure_store(policies: int, factors: Sequence[int], batch_size: int, batches: int, rounds: int) -> dict[str, Any]:
    """Memory of reading random batches from stores of several sizes, and training time against memory.

    Args:
        policies: Policies of the smallest store.
        factors: How many times as large each store is.
        batch_size: Policies a batch.
        batches: Batches read from each store.
        rounds: Training steps of each contestant; they take turns step by step.

    Returns:
        `memory_mb` (peak of a process of its own, by factor) and `policies_mb` (what the policies alone would take);
        `ours` and `peer` in training steps a second, from the largest store and from memory, and their `ratio`.
    """
    with tempfile.TemporaryDirectory() as folder:
        stores = {factor: Path(folder) / f"{factor}.h5" for factor in factors}
        for factor, path in stores.items():
            _write(path, policies * factor)
        peaks = {str(factor): _peak(path, batch_size, batches) for factor, path in stores.items()}
        ours, peer = _training(stores[max(factors)], batch_size, rounds)
    row = METAWORLD_LAYOUT.size * 4 / 2**20
    return {
        "memory_mb": {factor: round(peak, 1) for factor, peak in peaks.items()},
        "policies_mb": {str(factor): round(policies * factor * row, 1) for factor in factors},
        "ours": round(ours, 2),
        "peer": round(peer, 2),
        "ratio": round(ours / peer, 3),
        "policies": policies * max(factors),
        "batch_size": batch_size,
    }


def _write(path: Path, count: int) -> None:
    """Policies of random parameters."""
    rng = np.random.default_rng(0)
    with PolicyStoreWriter(path, METAWORLD_LAYOUT, {"name": "random"}) as writer:
        for low in range(0, count, _BLOCK):
            params = rng.normal(0.0, 0.1, (min(_BLOCK, count - low), METAWORLD_LAYOUT.size))
            writer.append(_TASK, params, 0, low, 1.0, 20, 0.0, "train")


def _peak(path: Path, batch_size: int, batches: int) -> float:
    """Largest memory in MB of a fresh process that opens a store and reads random batches in both ways."""
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    process = context.Process(target=_read_batches, args=(path, batch_size, batches, answers))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"the reading process ended with {process.exitcode}")
    return float(answers.get())


def _read_batches(path: Path, batch_size: int, batches: int, answers: Any) -> None:
    rng = np.random.default_rng(1)
    with PolicyStore.open(path) as store, PolicySpool(store, folder=path.parent) as spool:
        for _ in range(batches):
            rows = rng.integers(len(spool), size=batch_size)
            if not np.array_equal(spool.read(rows), store.read(_TASK, rows)):
                raise RuntimeError("the spool and the store differ")
    answers.put(peak_megabytes())


def peak_megabytes() -> float:
    """The largest resident memory of this process so far; 0 where /proc is missing.

    Not `ru_maxrss`, which a process inherits from the one that started it.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


class _Spooled:
    """A spool where a training job expects a tensor of policies."""

    device = torch.device("cpu")

    def __init__(self, spool: PolicySpool) -> None:
        self._spool = spool

    def __len__(self) -> int:
        return len(self._spool)

    def __getitem__(self, rows: Tensor) -> Tensor:
        return torch.from_numpy(self._spool.read(rows.numpy()))


def _training(path: Path, batch_size: int, rounds: int) -> tuple[float, float]:
    """Steps a second of the autoencoder's training, from a store and from memory: medians of single steps in turn."""
    settings = LinearAutoencoder(batch_size=batch_size, validation_share=0.0, initialisation="random")
    observations = torch.randn((256, METAWORLD_LAYOUT.observation_size), generator=torch.Generator().manual_seed(0))
    with PolicyStore.open(path) as store, PolicySpool(store, folder=path.parent) as spool, seeded(0):
        params = torch.from_numpy(spool.read(range(len(spool))))
        jobs = [AutoencoderJob(settings, METAWORLD_LAYOUT, params, observations) for _ in range(2)]
        for job in jobs:
            job.start()
        jobs[0].__dict__["_training"] = _Spooled(spool)
        times: tuple[list[float], list[float]] = ([], [])
        for step in range(rounds + 1):
            for job, spent in zip(jobs, times, strict=True):
                start = time.perf_counter()
                job.step(step)
                spent.append(time.perf_counter() - start)
        ours, peer = (1.0 / statistics.median(spent[1:]) for spent in times)
    return ours, peer
