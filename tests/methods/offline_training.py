"""What the tests of MACAW and Prompt-DT share: a training that is killed and goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hyprepro.engine import training
from hyprepro.engine.stage import Report, Stage, read_metrics
from hyprepro.engine.training import Job


class Killed(Exception):
    """Stands for a kill: nothing after it runs."""


def killed_and_continued(
    stage: Stage, job: type[Job], kill_at: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[Any], list[Any]]:
    """Metrics and the bytes of the weights of an uninterrupted training, and of one killed before a step."""
    monkeypatch.setattr(training, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(training, "LARGEST_SHARE", float("inf"))
    whole, broken = folder / "whole", folder / "broken"
    whole.mkdir()
    broken.mkdir()
    stage.run(whole, {}, Report(whole / "metrics.jsonl"))
    step = job.step

    def killing(self: Job, number: int) -> Any:
        if number == kill_at:
            raise Killed
        return step(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(job, "step", killing)
        with pytest.raises(Killed):
            stage.run(broken, {}, Report(broken / "metrics.jsonl"))
    stage.run(broken, {}, Report(broken / "metrics.jsonl"))
    return tuple(  # type: ignore[return-value]
        [read_metrics(each / "metrics.jsonl"), next(each.glob("*.safetensors")).read_bytes()]
        for each in (whole, broken)
    )
