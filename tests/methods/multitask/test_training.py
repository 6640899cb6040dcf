"""Multi-task training at toy size, in the real simulator: what is learnt, resumption, routes, temperatures, errors."""

from __future__ import annotations

import dataclasses
import json
import math
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from hyprepro.collect.metaworld.settings import Agent
from hyprepro.collect.sac import checkpoint
from hyprepro.collect.sac.replay import Replay
from hyprepro.collect.sac.settings import SACSettings
from hyprepro.collect.sac.update import Batch
from hyprepro.config.registry import resolve
from hyprepro.domains.metaworld.domain import MetaWorld
from hyprepro.engine.cache import ArtifactCache
from hyprepro.errors import UserError
from hyprepro.experiments.recipe import Recipe
from hyprepro.methods.care.method import Care, CareNetwork, CareTraining
from hyprepro.methods.multitask.architecture import Architecture, Sizes
from hyprepro.methods.multitask.gradients import CAGrad, Gradient, PCGrad, SummedGradient
from hyprepro.methods.multitask.learner import MultiTaskLearner
from hyprepro.methods.multitask.method import MultiTask, MultiTaskSAC, MultiTaskTraining
from hyprepro.methods.multitask.moore import MOORE
from hyprepro.methods.multitask.plain import PlainNetwork
from hyprepro.methods.multitask.text import TaskDescriptions
from hyprepro.methods.multitask.training import TrainMultiTask, scoring_goal, training_goal
from tests.conftest import TinyStores
from tests.methods.shared import prompted, prompts_of

NETWORK = CareNetwork(experts=3, expert_hidden=8, features=8, context_hidden=(8,), context=8, hidden=(16,))
SAC = SACSettings(batch_size=8, normalise_q=True, cloning_weight=5.0, learning_rate=1e-3)
TRAINING = CareTraining(
    sac=SAC,
    updates=60,
    updates_per_step=1.0,
    first_steps=20,
    episode_steps=10,
    replay=30,  # comes round
    score_every=20,
    score_goals=1,
)
PLAIN = MultiTaskTraining.model_validate({name: getattr(TRAINING, name) for name in MultiTaskTraining.model_fields})
WITHOUT = {"route": "scratch", "sac": SAC.model_copy(update={"cloning_weight": 0.0})}
SCRATCH = PLAIN.model_copy(update=WITHOUT)
MIXED = MultiTaskSAC(architecture=PlainNetwork(hidden=(16,)), gradient=PCGrad(), schedule=PLAIN)


def learner(tied: bool, **settings: float) -> MultiTaskLearner:
    torch.manual_seed(0)
    network = NETWORK.model_copy(update={"tied": tied})
    networks: Any = network.build(Sizes(39, 4, 4))
    sac = SAC.model_copy(update=settings)
    return MultiTaskLearner(sac, network, networks, torch.randn(2, 4), SummedGradient(), action_size=4)


def batch(rewards: float = 0.0) -> Batch:
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(2, 8, *shape, generator=generator)

    return Batch(
        normal(39), normal(4).tanh(), torch.full((2, 8), rewards), normal(39), torch.zeros(2, 8), normal(4).tanh()
    )


def test_the_splits_goals_are_those_that_the_kept_results_were_trained_on() -> None:
    assert training_goal(Agent("reach", 1), 1_503).seed == 1_000_000 + 8 * 20_000 + 2_000 + 1_500 + 3
    assert scoring_goal("reach", 4).seed == 1_000_000 + 8 * 20_000 + 19_000 + 4


def test_other_tasks_are_scored_on_goals_that_are_not_trained_on() -> None:
    trained = {training_goal(Agent("hammer", seed), episode) for seed in range(4) for episode in range(1_500)}
    assert len(trained) == 6_000
    assert not trained & {scoring_goal("hammer", index) for index in range(1_000)}


def update(sac: MultiTaskLearner, data: Batch, times: int = 1) -> dict[str, torch.Tensor]:
    for _ in range(times):
        losses = sac.update(data, torch.zeros(2, 8, 4), torch.zeros(2, 8, 4))
    return losses


@pytest.mark.parametrize("tied", [True, False])
def test_cloning_brings_the_actor_to_the_labels(tied: bool) -> None:
    sac, data = learner(tied, learning_rate=0.01), batch()

    def distance() -> float:
        return float(
            (torch.tanh(sac.policy(data.observations)[:, :4].mT) - data.expert_actions).square().mean().detach()
        )

    before = distance()
    update(sac, data, 60)
    assert distance() < 0.7 * before


def test_each_task_has_its_temperature_and_its_losses() -> None:
    sac = learner(tied=False)
    data = batch()
    data.rewards[1] = 50.0
    losses = update(sac, data)
    assert losses["critic_loss"].shape == (2,)
    assert losses["critic_loss"][1] > 10 * losses["critic_loss"][0]
    assert sac.log_alpha.shape == (2,)


def test_a_tied_actor_does_not_train_the_encoder_that_it_sees_through() -> None:
    free, tied = learner(tied=False), learner(tied=True)
    assert any(name.startswith("encoder.") for name in free.actor)
    assert not any(name.startswith("encoder.") for name in tied.actor)
    update(tied, batch(1.0), 3)
    actor: Any = tied.trained_actor()
    for name, tensor in actor.encoder.named_parameters():
        assert torch.equal(tensor, tied.critic[f"encoder.{name}"])


def stage_of(stores: TinyStores, method: MultiTask) -> TrainMultiTask:
    return method.training(stores.domain.data(), seed=0)


def make(stage: TrainMultiTask, cache: ArtifactCache) -> Path:
    torch.set_num_threads(1)
    if stage.texts is not None:
        cache.make(stage.texts)
    return cache.make(stage)


def acting(method: MultiTask, stage: TrainMultiTask, path: Path, stores: TinyStores, task: str) -> bytes:
    """What the trained policy of a task does."""
    data = stores.domain.data()
    query = prompted(dataclasses.replace(prompts_of(data, "reach"), task=task))
    observations = np.random.default_rng(0).normal(size=(3, 39)).astype(np.float32)
    session = method.deploy(stage.load(path), data, query, 0).session(3)
    actions = session.act(observations)
    others = observations.copy()
    others[1:] = 0
    assert np.array_equal(session.act(others)[0], actions[0]), "a slot's action is of its own observation alone"
    assert np.abs(actions).max() <= 1
    return actions.tobytes()


@pytest.mark.sim
def test_care_trains_and_acts_on_described_tasks(tiny_stores: TinyStores, tmp_path: Path) -> None:
    method = Care(network=NETWORK, care=TRAINING)
    stage = stage_of(tiny_stores, method)
    assert stage.label == "CARE, seed 0"
    path = make(stage, ArtifactCache(tmp_path))
    curve = stage.curve(path)
    assert [point["updates"] for point in curve] == [20, 40, 60]
    assert curve[-1]["steps_a_task"] == TRAINING.steps == 80
    assert set(curve[-1]["success"]) == {"door-open", "reach"}
    for point in curve:
        assert all(len(shares) == 1 and 0 <= shares[0] <= 1 for shares in point["conflicts"].values())
    acted = {acting(method, stage, path, tiny_stores, task) for task in ("reach", "door-open", "window-close")}
    assert len(acted) == 3, "every description gives a policy of its own"
    assert method.refusal(tiny_stores.domain.data(), "window-close") == ""


@pytest.mark.sim
def test_from_scratch_a_labelled_method_acts_on_the_tasks_that_it_was_trained_on(
    tiny_stores: TinyStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, add = [], Replay.add

    def watched(self: Replay, **transition: Any) -> None:
        ends.append(transition["dones"])
        add(self, **transition)

    monkeypatch.setattr(Replay, "add", watched)
    method = MultiTaskSAC(architecture=MOORE(experts=2, hidden=(8, 8)), gradient=CAGrad(), schedule=SCRATCH)
    stage, data = stage_of(tiny_stores, method), tiny_stores.domain.data()
    path = make(stage, ArtifactCache(tmp_path))
    assert stage.label == "moore-cagrad, seed 0"
    assert not any(ends), "a time limit is no terminal state"
    assert {*stage.parameter_counts(path)} == {"actor", "critics"}
    assert len({acting(method, stage, path, tiny_stores, task) for task in ("reach", "door-open")}) == 2
    assert method.refusal(data, "reach") == ""
    assert "label" in method.refusal(data, "reach-wall")
    with pytest.raises(UserError, match="'reach-wall' is none that it was trained on") as caught:
        acting(method, stage, path, tiny_stores, "reach-wall")
    assert caught.value.closest == "reach"


@pytest.mark.sim
def test_a_task_without_a_description_is_refused(tiny_stores: TinyStores, tmp_path: Path) -> None:
    texts = json.dumps({task: text for task, text in TaskDescriptions().sentences() if task != "door-open"})
    (tmp_path / "few.yaml").write_text(texts)
    method = Care(network=NETWORK, care=TRAINING, descriptions=TaskDescriptions(file=str(tmp_path / "few.yaml")))
    with pytest.raises(UserError, match="'door-open' has no description"):
        make(method.training(tiny_stores.domain.data(), 0), ArtifactCache(tmp_path / "cache"))


def _run(stores: TinyStores, folder: Path) -> None:
    """Train until so many transitions were added, which is in the middle of an episode, and die by SIGKILL."""
    checkpoint.SECONDS_BETWEEN_CHECKPOINTS, checkpoint.LARGEST_SHARE = 0.0, math.inf
    add = Replay.add

    def killed(self: Replay, **transition: Any) -> None:
        add(self, **transition)
        if self.added == 55:
            os.kill(os.getpid(), signal.SIGKILL)

    Replay.add = killed  # type: ignore[method-assign]
    make(stage_of(stores, MIXED), ArtifactCache(folder))


@pytest.mark.sim
def test_killed_it_goes_on_to_the_same_bytes(tiny_stores: TinyStores, tmp_path: Path) -> None:
    stage = stage_of(tiny_stores, MIXED)
    whole, killed = ArtifactCache(tmp_path / "whole"), ArtifactCache(tmp_path / "killed")
    make(stage, whole)
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(tiny_stores, tmp_path / "killed"))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (killed.work_of(stage) / "checkpoint.pt").exists()
    assert not killed.is_finished(stage)
    make(stage, killed)
    assert killed.manifest(stage)["files"] == whole.manifest(stage)["files"]


def test_there_is_nothing_to_clone_from_scratch() -> None:
    with pytest.raises(ValidationError, match="nothing to clone"):
        CareTraining(route="scratch")


def test_it_says_what_it_was_given() -> None:
    text = Care(care=TRAINING).information(MetaWorld())
    assert "sentence" in text
    assert "80 environment steps" in text
    assert "demonstrations" in text
    assert "demonstrations" not in Care(care=TRAINING.model_copy(update=WITHOUT)).information(MetaWorld())
    assert "label" in MIXED.information(MetaWorld())
    assert MIXED.uses == "task label, 80 steps a task, demonstrations"


@pytest.mark.parametrize(
    ("architecture", "gradient", "name"),
    [
        (PlainNetwork(), SummedGradient(), "mt-sac"),
        (PlainNetwork(), PCGrad(), "pcgrad"),
        (MOORE(), SummedGradient(), "moore"),
        (MOORE(), PCGrad(), "moore-pcgrad"),
        (NETWORK, SummedGradient(), "care"),
    ],
)
def test_rows_are_called_what_the_field_calls_them(architecture: Architecture, gradient: Gradient, name: str) -> None:
    assert MultiTaskSAC(architecture=architecture, gradient=gradient).name == name
    assert MultiTaskSAC(architecture=architecture, gradient=gradient, row="mine").name == "mine"


def test_the_gradients_of_a_single_task_cannot_be_mixed(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data().trained_on(["reach"])
    with pytest.raises(UserError, match="only one that is trained on is reach") as caught:
        MIXED.training(data, 0)
    assert "SummedGradient" in caught.value.fix
    assert MultiTaskSAC().training(data, 0).label == "mt-sac, seed 0"


def test_a_sentence_does_not_tell_parameters_of_a_task() -> None:
    with pytest.raises(UserError, match="MOORE has parameters for every single training task"):
        MultiTaskSAC(architecture=MOORE(), descriptions=TaskDescriptions()).check()
    described = MultiTaskSAC(descriptions=TaskDescriptions())
    described.check()
    assert described.refusal(MetaWorld().data(), "reach-wall") == ""


def test_a_task_without_a_sentence_is_refused_in_words(tiny_stores: TinyStores, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("door-open: Pull a door open by its handle.\n")
    method = MultiTaskSAC(descriptions=TaskDescriptions(file=str(tmp_path / "mine.yaml")))
    data = tiny_stores.domain.data()
    assert method.refusal(data, "door-open") == ""
    assert "told a task by a sentence, and its descriptions have none" in method.refusal(data, "reach")
    assert "label" not in method.refusal(data, "reach"), "although it is trained on"


def test_scoring_counts_in_what_a_dry_run_tells(tiny_stores: TinyStores) -> None:
    """At every point of the learning curve as many episodes are run as are scored."""

    def cost(score_every: int, score_goals: int) -> float:
        schedule = MultiTaskTraining(updates=1000, episode_steps=100, score_every=score_every, score_goals=score_goals)
        return MultiTaskSAC(schedule=schedule).training(tiny_stores.domain.data(), 0).cost

    rarely, often = cost(score_every=1000, score_goals=1), cost(score_every=10, score_goals=1)
    a_step = (cost(score_every=1000, score_goals=2) - rarely) / 100
    assert a_step > 0
    assert often - rarely == pytest.approx(99 * 100 * a_step)


def test_the_scale_of_the_paper_scores_twenty_times() -> None:
    """With the desktop's distance between points a training would be scoring above all."""
    recipe = resolve("multitask", "paper").recipe
    assert isinstance(recipe, Recipe)
    schedules = [method.learning.training for method in recipe.methods if isinstance(method, MultiTask)]
    assert len(schedules) == 9, "CARE among them"
    for schedule in schedules:
        assert schedule.updates / schedule.score_every == 20
        assert schedule.scored_steps < 0.05 * schedule.steps
