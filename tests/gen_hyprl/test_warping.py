"""Warped demonstrations: how a prompt is completed, what moves with what, and that policies learn from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.domains.metaworld.domain import MetaWorld
from hyprepro.domains.metaworld.scene import GOAL, MetaWorldScene
from hyprepro.domains.scenes import Scene
from hyprepro.engine.cache import ArtifactCache
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.adaptation import Adaptation, GatedAdaptation, PromptAdaptation, Start
from hyprepro.gen_hyprl.adaptation_net import Pairs
from hyprepro.gen_hyprl.candidates_net import random_weights
from hyprepro.gen_hyprl.inverse import TurnedInverse
from hyprepro.gen_hyprl.warping import WarpedAdaptation
from hyprepro.gen_hyprl.warping_net import Demonstration, completed
from hyprepro.methods.gen_hyprl import GenHypRL
from hyprepro.methods.retrieval import MeanPolicy
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores.prompts import FRAME, Prompts, prompt_from_episode
from tests.conftest import TinyStores
from tests.gen_hyprl.test_stages import make
from tests.methods.shared import params_of, prompted, prompts_of

FIRST, OBJECT, END = np.array([0.0, 0.6, 0.2]), np.array([0.1, 0.7, 0.1]), np.array([0.1, 0.85, 0.1])
AT_REST = WarpedAdaptation(moved=0.0, beside=0.0, shift=0.0)


class Straight:
    """An inverse model of a hand that goes a hundredth of the action a step."""

    def __init__(self, ahead: int = 5) -> None:
        self.scale = 100 / ahead

    def leading(self, scene: Scene, observations: Tensor, there: Tensor) -> Tensor:
        """The mean speed, and an open gripper."""
        way = self.scale * (there[..., :3] - observations[..., :3])
        return torch.cat([way, torch.full_like(way[..., :1], -1.0)], dim=-1).clamp(-1, 1)


def episode(steps: int, end: int, first: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """The hand goes to an object in `first` steps and pushes it to the goal, where it is after `end` steps."""
    time = np.arange(steps + 1)[:, None]
    to_object, to_end = np.clip(time / first, 0, 1), np.clip((time - first) / (end - first), 0, 1)
    pushed = OBJECT + to_end * (END - OBJECT)
    hand = np.where(time < first, FIRST + to_object * (OBJECT - FIRST), pushed)
    frames = np.zeros((steps + 1, FRAME))
    frames[:, :3], frames[:, 3], frames[:, 4:7], frames[:, 7] = hand, 0.5, pushed, 1.0
    before = np.concatenate([frames[:1], frames[:-1]])
    goals = np.broadcast_to(END, (steps + 1, 3))
    observations = np.concatenate([frames, before, goals], axis=1).astype(np.float32)
    actions = np.concatenate([100 * np.diff(hand, axis=0), -np.ones((steps, 1))], axis=1).clip(-1, 1)
    return observations, actions.astype(np.float32)


def prompts(end: int = 90, **changes: Any) -> Prompts:
    """Two prompts of that episode, which ends after the prompt does or before."""
    tau, tau_hat = prompt_from_episode(*episode(max(end, 60) + 5, end), success_step=end - 1)
    rows = np.zeros(2, dtype=np.int64)
    found = Prompts("plate-slide", "test", np.stack([tau, tau]), np.stack([tau_hat, tau_hat]), rows, rows)
    return replace(found, **changes)


@pytest.fixture
def start() -> Start:
    """Random policies with an inverse model."""
    params = random_weights(METAWORLD_LAYOUT, 2, torch.Generator().manual_seed(0))
    return Start(METAWORLD_LAYOUT, params, domain=MetaWorld(), learnt=Straight(), notes=[])


def of(prompts: Prompts, start: Start, adaptation: WarpedAdaptation = AT_REST) -> Demonstration:
    return completed(adaptation, MetaWorldScene(), start.learnt, prompts, start)


def drawn(adaptation: WarpedAdaptation, start: Start, seed: int = 0, end: int = 90) -> Pairs:
    return of(prompts(end), start, adaptation).warped(adaptation, torch.Generator().manual_seed(seed))


def test_it_is_completed_to_the_shown_end(start: Start) -> None:
    found = of(prompts(), start)
    last = found.lengths[0] - 1
    assert last > 57
    torch.testing.assert_close(found.frames[0, last, :7], torch.tensor([*END, 0.5, *END]).float(), atol=2e-3, rtol=0)
    steps = found.frames[0, 1 : last + 1, :3] - found.frames[0, :last, :3]
    assert steps.norm(dim=1).max() < 0.02, "the hand does not jump"
    assert (found.actions[0, 58 : last - 5, 1] > 0.1).all(), "it is pushed on"
    assert (found.actions[0, :last, 3] == -1).all(), "with the gripper as it was"


def test_what_shows_its_end_is_not_completed(start: Start) -> None:
    found = of(prompts(end=50), start)
    assert 45 <= found.lengths[0] <= 58
    assert torch.equal(of(prompts(), start, WarpedAdaptation(completed=False)).lengths, torch.tensor([58, 58]))


def test_a_retreat_is_left_out(start: Start) -> None:
    observations, actions = episode(100, 90)
    back = observations.copy()
    back[48:60, :3] = observations[48, :3] + np.linspace(0, 1, 12)[:, None] * np.array([0, -0.05, 0.15])
    back[49:61, 18:21] = back[48:60, :3]
    back[48:60, 4:7] = observations[48, 4:7]
    back[49:61, 22:25] = back[48:60, 4:7]
    tau, tau_hat = prompt_from_episode(back, actions, success_step=89)
    shown = prompts(tau=np.stack([tau, tau]), tau_hat=np.stack([tau_hat, tau_hat]))
    found = of(shown, start)
    height = found.frames[0, : found.lengths[0], 2]
    assert height[30:].max() < 0.15, "the hand does not go up again"


def test_where_no_end_is_known_the_shown_steps_are_all(start: Start) -> None:
    blind = prompts(tau_hat=np.zeros((2, 117), dtype=np.float32))
    assert torch.equal(of(blind, start).lengths, torch.tensor([58, 58]))
    assert start.notes == ["WarpedAdaptation did not complete plate-slide: a prompt's post-success states are missing"]


def test_at_rest_pairs_are_the_demonstrations_own(start: Start) -> None:
    seen, acted = drawn(AT_REST, start)
    observations, actions = episode(100, 90)
    shown = torch.from_numpy(observations[:58])
    for observation, action in zip(seen[0], acted[0], strict=True):
        apart = (shown - observation).abs().amax(1)
        if apart.min() < 1e-6 and apart.argmin() % 3 == 0:  # between them a prompt interpolates
            torch.testing.assert_close(action, torch.from_numpy(actions[apart.argmin()]), atol=1e-5, rtol=0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_hand_object_and_goal_move_together_once_the_hand_is_there(seed: int) -> None:
    start = Start(METAWORLD_LAYOUT, torch.zeros(2, 1), domain=MetaWorld(), learnt=Straight())
    moving = WarpedAdaptation(beside=0.0, shift=0.0, still=0.0, apart=0.0)
    seen = drawn(moving, start, seed).observations
    goal_by = seen[..., GOAL : GOAL + 3] - torch.tensor(END).float()
    assert goal_by.abs().max() <= 0.1
    pushed = (seen[..., 4:7] - goal_by - torch.tensor(OBJECT).float()).norm(dim=2) > 0.01
    torch.testing.assert_close(seen[pushed][:, :3], seen[pushed][:, 4:7], atol=1e-5, rtol=0)
    approaching = ~pushed
    torch.testing.assert_close(
        seen[approaching][:, 4:7], torch.tensor(OBJECT).float() + goal_by[approaching], atol=1.1e-2, rtol=0
    )


def test_actions_lead_to_where_things_are(start: Start) -> None:
    """The hand is led to an object elsewhere: further where it stands further."""
    moving = WarpedAdaptation(pairs=2000, beside=0.0, shift=0.0, still=0.0, apart=0.0)
    seen, acted = drawn(moving, start)
    approaching = (seen[..., 4:7] - seen[..., :3]).norm(dim=2) > 0.05
    aside = seen[approaching][:, 4] - OBJECT[0]
    correlation = torch.corrcoef(torch.stack([aside, acted[approaching][:, 0]]))[0, 1]
    assert correlation > 0.8


def test_a_hand_beside_its_way_is_led_back(start: Start) -> None:
    beside = WarpedAdaptation(pairs=2000, moved=0.0, beside=0.02, shift=0.0)
    seen, acted = drawn(beside, start)
    aside = seen[..., 2] - torch.where(seen[..., 0] < 0.09, FIRST[2] - seen[..., 0] * 1.0, 0.1)
    correlation = torch.corrcoef(torch.stack([aside.flatten(), acted[..., 2].flatten()]))[0, 1]
    assert correlation < -0.5


def test_what_is_never_moved_is_of_no_account(start: Start) -> None:
    """A second object stands still: it is scattered, and the hand does not follow it."""
    tau, tau_hat = prompts().tau.reshape(2, 20, 51).copy(), prompts().tau_hat.reshape(2, 3, 39).copy()
    for part in (tau, tau_hat):
        part[..., 11:14] = part[..., 29:32] = [0.3, 0.5, 0.0]
    shown = prompts(tau=tau.reshape(2, -1), tau_hat=tau_hat.reshape(2, -1))
    moving = WarpedAdaptation(pairs=2000, beside=0.0, shift=0.0, still=0.0, apart=0.0)
    seen = of(shown, start, moving).warped(moving, torch.Generator().manual_seed(0)).observations
    first, second = (seen[..., place] - seen[..., place].mean() for place in (4, 11))
    assert second.abs().max() > 0.05
    assert torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1].abs() < 0.1


def test_a_policy_learns_to_go_where_the_object_is(start: Start) -> None:
    adaptation = WarpedAdaptation(start="random", fit=PromptAdaptation(steps=300, learning_rate=3e-3, pull=0.0))
    draws = torch.Generator().manual_seed(0)
    fitted = adaptation.adapt(start, prompts(), draws)
    assert fitted.isfinite().all()
    observation = torch.from_numpy(episode(60, 55)[0][:1]).repeat(2, 1)
    for row, aside in enumerate((-0.08, 0.08)):
        for first in (4, 22, GOAL):
            observation[row, first] += aside
    acted = StackedPolicies(METAWORLD_LAYOUT, fitted[:1]).means(observation)[0]
    assert acted[1, 0] > acted[0, 0] + 0.2


def test_without_an_inverse_model_it_says_so(start: Start) -> None:
    with pytest.raises(UserError, match="has no inverse model of the hand"):
        WarpedAdaptation().adapt(replace(start, learnt=None), prompts(), torch.Generator())


def test_a_domain_without_a_scene_is_refused() -> None:
    with pytest.raises(UserError, match="does not say what the numbers of its observations stand for"):
        WarpedAdaptation().require(CheetahVel())


def test_a_method_trains_and_deploys_it(tiny_stores: TinyStores, tmp_path: Path) -> None:
    fit = PromptAdaptation(steps=3, learning_rate=3e-3)
    warped = WarpedAdaptation(fit=fit, inverse=TurnedInverse(steps=5, hidden=(8,)))
    method = MeanPolicy(adaptation=GatedAdaptation(adaptation=warped, tolerance=0))
    data = tiny_stores.domain.data()
    stage = method.deployable(data.for_training, 0)
    assert stage is not None
    trained = stage.load(make(stage, ArtifactCache(tmp_path)))
    query = prompted(prompts_of(data, "reach"))
    found = params_of(method.deploy(trained, data, query, 0))
    plain = params_of(MeanPolicy().deploy(None, data, query, 0))
    assert found.shape == plain.shape
    assert not np.array_equal(found, plain)


def test_a_table_says_what_the_policies_are_fitted_to() -> None:
    def told(adaptation: Adaptation) -> str:
        return GenHypRL(adaptation=GatedAdaptation(adaptation=adaptation)).information(MetaWorld())

    assert "completed to its post-success states and moved with its objects and goal" in told(WarpedAdaptation())
    assert "an inverse model" in told(WarpedAdaptation())
    still = told(WarpedAdaptation(completed=False, moved=0.0))
    assert "completed" not in still
    assert "moved" not in still
    assert "the prompt's own actions (GatedAdaptation)" in told(PromptAdaptation())
