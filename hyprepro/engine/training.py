"""The resumable training loop of all stages: killed at any moment, it goes on to the bit-identical result.

Every few seconds the loop writes one checkpoint file atomically: the step, all weights and buffers, the optimisers'
moments and the random generators' states. All randomness of a step (batches, noise, dropout) comes from torch's global
generator, which is seeded at the start and restored on resumption, so the steps after a checkpoint are the steps that
would have followed.
"""

from __future__ import annotations

import io
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hyprepro.engine import stage as artifacts
from hyprepro.engine.stage import Report, write_atomically
from hyprepro.engine.trained import Trained

CHECKPOINT = "checkpoint.pt"
WEIGHTS, SHAPE = "weights.safetensors", "shape.json"
SECONDS_BETWEEN_CHECKPOINTS = 10.0
LARGEST_SHARE = 0.05
"""Writing checkpoints takes at most about this share of the time, however large they are."""
REPORTS = 100
VALIDATIONS = 10


class Job(ABC):
    """Something that is being trained.

    Attributes:
        modules: Everything with weights or buffers that training changes, by name.
        optimisers: The optimisers, by name.
        kept: The network that is kept in the end.
        shape: The sizes from which its stage builds it again (`TrainedStage.build`), JSON-ready.
    """

    modules: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]
    kept: nn.Module
    shape: Any = ()

    def start(self) -> None:  # noqa: B027  # most have nothing to do
        """Compute what precedes the first step; a training that goes on finds it in its checkpoint."""

    @abstractmethod
    def step(self, step: int) -> Mapping[str, Tensor]:
        """Do training step `step` (from 0) and return its losses as scalars."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Metrics on held-out training data; may not change any weight."""

    def finish(self) -> None:  # noqa: B027  # most have nothing to do
        """Compute what follows the last step."""


S = TypeVar("S", bound=Trained)
M = TypeVar("M", bound=nn.Module)


class Descent(Job, Generic[S, M]):
    """A network that descends one loss.

    Args:
        settings: How it is trained.
        network: The untrained network.
        shape: As `Job.shape`.
    """

    kept: M

    def __init__(self, settings: S, network: M, shape: Any = ()) -> None:
        self.settings = settings
        self.network = self.kept = network.to(device())
        self.shape = shape
        self.modules = {"network": network}
        self.optimisers = {"network": settings.optimiser(network.parameters())}

    @abstractmethod
    def losses(self) -> Mapping[str, Tensor]:
        """The `loss` of a batch, and what else is told of it."""

    def step(self, step: int) -> Mapping[str, Tensor]:
        """Descend."""
        losses = self.losses()
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        self.settings.update(self.optimisers["network"], step)
        return {name: loss.detach() for name, loss in losses.items()}


J = TypeVar("J", bound=Job)


def train(build: Callable[[], J], steps: int, work: Path, report: Report, seed: int) -> J:
    """Build a job and train it for `steps` steps, or go on from the checkpoint in `work`.

    Args:
        build: Makes the job, with its random weights. Called under the seed, so it must not read other randomness.
        steps: Number of training steps.
        work: The stage's folder; `checkpoint.pt` is written there.
        report: Takes losses (about `REPORTS` times) and validation metrics (about `VALIDATIONS` times).
        seed: Seeds weights, batches, noise and dropout.

    Returns:
        The trained job, its modules in evaluation mode.
    """
    with seeded(seed):
        job = build()
        checkpoint = _Checkpoint(work / CHECKPOINT, job)
        start = checkpoint.restore()
        if start == 0:
            job.start()
        _set_training(job, True)
        for step in range(start, steps):
            losses = job.step(step)
            done = step + 1
            if _is_due(done, steps, REPORTS):
                report.progress(done, steps, **{name: float(loss) for name, loss in losses.items()})
            if _is_due(done, steps, VALIDATIONS):
                report.progress(done, steps, **_validation(job))
            checkpoint.save_if_due(done)
        if steps == 0:
            report.progress(0, 0, **_validation(job))
        _set_training(job, False)
        job.finish()
    return job


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch for the block and give the caller its random state back afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def device() -> torch.device:
    """Where stages compute, as a torch device; see `artifacts.device`."""
    return torch.device(artifacts.device())


def batch_of(rows: int, size: int) -> Tensor:
    """Random row numbers `[min(size, rows)]` without repetition, on the CPU."""
    return torch.randperm(rows)[:size] if size < rows else torch.randperm(rows)


def save(network: nn.Module, shape: Any, folder: Path) -> None:
    """Write a network's weights and buffers, and the sizes from which it is built again."""
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    (folder / SHAPE).write_text(json.dumps(shape), encoding="utf-8")


def load(folder: Path, build: Callable[[Any], M]) -> M:
    """The network that `save` wrote, frozen; `build` makes an untrained one of its shape."""
    network = build(json.loads((folder / SHAPE).read_text(encoding="utf-8")))
    network.load_state_dict(load_file(folder / WEIGHTS))
    return frozen(network)


def frozen(network: M) -> M:
    """The network in evaluation mode, without gradients."""
    return network.eval().requires_grad_(False)


class RunningMean:
    """The exponential running mean of a module's weights; its buffers are copied as they are.

    Args:
        source: The module that is being trained.
        mean: A second module of the same shape, which is overwritten.
        decay: Share of the old mean that is kept at each update; 0 makes it a copy.
    """

    def __init__(self, source: nn.Module, mean: nn.Module, decay: float) -> None:
        self._means: list[Tensor] = list(mean.parameters())
        self._sources: list[Tensor] = list(source.parameters())
        self._buffers = list(zip(mean.buffers(), source.buffers(), strict=True))
        self._decay = decay
        mean.load_state_dict(source.state_dict())
        mean.requires_grad_(False)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after training step `step`; early on the mean forgets faster."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._means, self._sources, 1 - decay)
        for mean, source in self._buffers:
            mean.copy_(source)


class _Checkpoint:
    def __init__(self, path: Path, job: Job) -> None:
        self._path = path
        self._job = job
        self._next = time.monotonic() + SECONDS_BETWEEN_CHECKPOINTS

    def save_if_due(self, step: int) -> None:
        started = time.monotonic()
        if started < self._next:
            return
        job = self._job
        state = {
            "step": step,
            "modules": {name: module.state_dict() for name, module in job.modules.items()},
            "optimisers": {name: optimiser.state_dict() for name, optimiser in job.optimisers.items()},
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        content = io.BytesIO()
        torch.save(state, content)  # not to the file: of a full disk it would only say that its own writer is confused
        write_atomically(self._path, content.getvalue())
        now = time.monotonic()
        self._next = now + max(SECONDS_BETWEEN_CHECKPOINTS, (now - started) / LARGEST_SHARE)

    def restore(self) -> int:
        """The number of finished steps; 0 without a checkpoint."""
        if not self._path.exists():
            return 0
        state: dict[str, Any] = torch.load(self._path, map_location=device(), weights_only=True)
        for name, module in self._job.modules.items():
            module.load_state_dict(state["modules"][name])
        for name, optimiser in self._job.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        torch.set_rng_state(state["random"].cpu())
        if state["cuda_random"]:
            torch.cuda.set_rng_state_all([random.cpu() for random in state["cuda_random"]])
        return int(state["step"])


def _is_due(done: int, steps: int, times: int) -> bool:
    return done == steps or done % max(1, steps // times) == 0


def _validation(job: Job) -> dict[str, float]:
    _set_training(job, False)
    with torch.no_grad():
        metrics = job.validate()
    _set_training(job, True)
    return metrics


def _set_training(job: Job, training: bool) -> None:
    for module in job.modules.values():
        module.train(training)
