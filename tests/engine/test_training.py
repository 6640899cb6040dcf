"""The training loop: resumption is bit-identical, randomness is its own, metrics come as promised."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from hyprepro.engine import training
from hyprepro.engine.stage import Report, read_metrics
from hyprepro.engine.trained import Trained, rate
from hyprepro.engine.training import Job, RunningMean, batch_of, train

STEPS = 40


class Killed(Exception):
    """Stands for a kill: nothing after it runs."""


class ToyJob(Job):
    """Everything that a checkpoint must hold: dropout, batch statistics, momentum, random batches, a running mean."""

    def __init__(self, kill_at: int = -1) -> None:
        self._settings = Trained(steps=STEPS, learning_rate=0.01)
        self._model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))
        mean = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))
        self._mean = RunningMean(self._model, mean, 0.9)
        self._data = torch.arange(80, dtype=torch.float32).reshape(20, 4) / 40
        self._kill_at = kill_at
        self._optimiser = self._settings.optimiser(self._model.parameters())
        self.modules = {"model": self._model, "mean": mean}
        self.optimisers = {"model": self._optimiser}

    def step(self, step: int) -> Mapping[str, Tensor]:
        if step == self._kill_at:
            raise Killed
        x = self._data[batch_of(20, 8)]
        loss = (self._model(x) - x.sum(1, keepdim=True)).square().mean()
        loss.backward()
        self._settings.update(self._optimiser, step)
        self._mean.update(step)
        return {"loss": loss.detach()}

    def validate(self) -> dict[str, float]:
        torch.rand(3)  # validation that draws random numbers must not disturb training
        return {"validation_error": float(self._model(self._data).square().mean())}


def digest(job: Job) -> list[Tensor]:
    return [value.clone() for module in job.modules.values() for value in module.state_dict().values()]


@pytest.fixture
def checkpoint_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(training, "LARGEST_SHARE", float("inf"))


@pytest.mark.usefixtures("checkpoint_always")
@pytest.mark.parametrize("kill_at", [1, 13, STEPS - 1])
def test_a_killed_training_ends_with_the_same_weights_and_metrics(tmp_path: Path, kill_at: int) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = train(ToyJob, STEPS, tmp_path / "a", Report(tmp_path / "a/metrics.jsonl"), seed=1)
    report = Report(tmp_path / "b/metrics.jsonl")
    with pytest.raises(Killed):
        train(lambda: ToyJob(kill_at), STEPS, tmp_path / "b", report, seed=1)
    resumed = train(ToyJob, STEPS, tmp_path / "b", Report(tmp_path / "b/metrics.jsonl"), seed=1)
    assert all(torch.equal(a, b) for a, b in zip(digest(whole), digest(resumed), strict=True))
    assert read_metrics(tmp_path / "a/metrics.jsonl") == read_metrics(tmp_path / "b/metrics.jsonl")


@pytest.mark.usefixtures("checkpoint_always")
def test_a_full_disk_is_told_as_one_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(ToyJob, STEPS, tmp_path, Report(), seed=1)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with monkeypatch.context() as full:
        full.setattr("hyprepro.engine.stage._opened", lambda _: Path("/dev/full").open("wb"))  # noqa: SIM115  # written to by the caller
        with pytest.raises(OSError, match="No space left"):
            train(ToyJob, STEPS + 10, tmp_path, Report(), seed=1)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert all(
        torch.equal(a, b)
        for a, b in zip(digest(whole), digest(train(ToyJob, STEPS, tmp_path, Report(), seed=1)), strict=True)
    )


def test_training_without_a_checkpoint_starts_over_with_the_same_result(tmp_path: Path) -> None:
    first, second = (train(ToyJob, STEPS, tmp_path, Report(), seed=1) for _ in range(2))
    assert not (tmp_path / training.CHECKPOINT).exists()  # over before the first checkpoint was due
    assert all(torch.equal(a, b) for a, b in zip(digest(first), digest(second), strict=True))


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    first, second = (train(ToyJob, STEPS, tmp_path, Report(), seed=seed) for seed in (1, 2))
    assert not torch.equal(digest(first)[0], digest(second)[0])


def test_the_callers_random_state_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    train(ToyJob, STEPS, tmp_path, Report(), seed=1)
    assert torch.equal(torch.rand(2), expected)


def test_losses_and_validation_metrics_are_reported(tmp_path: Path) -> None:
    train(ToyJob, STEPS, tmp_path, Report(tmp_path / "metrics.jsonl"), seed=1)
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines if "loss" in line][-1] == STEPS
    assert len([line for line in lines if "validation_error" in line]) == training.VALIDATIONS


def test_no_steps_still_validate(tmp_path: Path) -> None:
    train(ToyJob, 0, tmp_path, Report(tmp_path / "metrics.jsonl"), seed=1)
    assert [set(line) for line in read_metrics(tmp_path / "metrics.jsonl")] == [{"step", "total", "validation_error"}]


def test_running_mean_follows_the_weights() -> None:
    source, mean = nn.Linear(1, 1), nn.Linear(1, 1)
    running = RunningMean(source, mean, 0.5)
    before = source.weight.item()
    with torch.no_grad():
        source.weight += 1
    running.update(1000)
    assert mean.weight.item() == pytest.approx(before + 0.5, abs=1e-6)


def test_schedules() -> None:
    assert rate("constant", 7, 10) == 1
    assert [rate("cosine", step, 10) for step in (0, 5, 10)] == pytest.approx([1, 0.5, 0])
    # Make-An-Agent's restarts: periods of 10, 20, 40, ... steps
    assert [rate("warm_restarts", step, 100) for step in (0, 5, 10, 20, 30)] == pytest.approx([1, 0.5, 1, 0.5, 1])


def test_gradients_are_clipped_to_the_given_norm() -> None:
    settings = Trained(gradient_clip=1e-3, schedule="constant")
    weight = nn.Parameter(torch.zeros(2))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    weight.grad = torch.tensor([3.0, 4.0])
    settings.update(optimiser, 0)
    assert weight.detach().norm().item() == pytest.approx(1e-3 * settings.learning_rate, rel=1e-3)
