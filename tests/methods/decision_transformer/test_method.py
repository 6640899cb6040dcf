from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hyprepro.domains.metaworld.domain import MetaWorld
from hyprepro.engine import training
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import METRICS, Report, read_metrics
from hyprepro.methods.decision_transformer.method import MultiTaskDecisionTransformer, PromptedTransformer
from tests.conftest import TinyStores
from tests.methods.shared import prompted, prompts_of

METHOD = MultiTaskDecisionTransformer(
    transformer=PromptedTransformer(width=16, layers=1, steps=40, batch_size=8, warm_up=5), disturbed_episodes=0
)


def test_it_is_trained_and_acts_on_each_prompt(tiny_stores: TinyStores, tmp_path: Path) -> None:
    data = tiny_stores.domain.data()
    stage = METHOD.training(data, seed=1)
    path = ArtifactCache(tmp_path).make(stage)
    errors = [m["validation_error"] for m in read_metrics(path / METRICS) if "validation_error" in m]
    assert errors[-1] < 0.8 * errors[0]
    prompts = prompts_of(data, "reach")
    controllers = METHOD.deploy(stage.load(path), data, prompted(prompts), seed=1)
    assert controllers.representatives().tolist() == list(range(len(prompts)))
    session = controllers.session(2)
    for slot in range(2):
        session.assign(slot, slot)
    actions = np.stack([session.act(np.zeros((2, 39), np.float32)) for _ in range(25)])
    assert np.isfinite(actions).all()
    assert np.abs(actions).max() <= 1
    assert not np.array_equal(actions[:, 0], actions[:, 1]), "the prompts differ"


def test_killed_it_goes_on_to_the_same_weights(
    tiny_stores: TinyStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(training, "LARGEST_SHARE", float("inf"))
    stage = METHOD.training(tiny_stores.domain.data(), seed=0)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir(), killed.mkdir()
    stage.run(whole, {}, Report())

    class Killer(Report):
        def progress(self, step: int, steps: int, **metrics: float) -> None:
            if step == 20:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage.run(killed, {}, Killer())
    assert torch.load(killed / training.CHECKPOINT, weights_only=True)["step"] == 19
    stage.run(killed, {}, Report())
    assert (killed / training.WEIGHTS).read_bytes() == (whole / training.WEIGHTS).read_bytes()


def test_it_says_what_it_knows() -> None:
    assert "prompt" in METHOD.information(MetaWorld())
    assert "rewards" in METHOD.information(MetaWorld())
