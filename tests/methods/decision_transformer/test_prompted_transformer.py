"""The prompted Decision Transformer: its memory at test time is its forward pass, slot by slot."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hyprepro.methods.decision_transformer.method import PromptedTransformer
from hyprepro.methods.decision_transformer.network import PromptedNetwork, Window, prompt_windows
from hyprepro.methods.decision_transformer.session import TransformerSession
from hyprepro.stores.prompts import Prompts

SETTINGS = PromptedTransformer(context=8, width=16, layers=2, heads=2, prompt_steps=4)
LONGEST = 60
MEMORY = 6
Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def network() -> PromptedNetwork:
    torch.manual_seed(0)
    found = SETTINGS.build(LONGEST).eval()
    for parameter in found.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)  # as drawn, attention is nearly even
        parameter.requires_grad_(False)
    found.fit(0.1 * torch.randn(50, 39) + 1.0, 0.01, torch.linspace(1, 0, LONGEST))
    return found


@pytest.fixture(scope="module")
def prompts() -> Window:
    rng = np.random.default_rng(1)
    nothing = np.zeros(3, np.int64)
    tau = rng.normal(1.0, 0.1, (3, 1020)).astype(np.float32)
    return prompt_windows(Prompts("reach", "test", tau, tau[:, :117], nothing, nothing), SETTINGS.prompt_steps)


def observed(steps: int, slots: int, seed: int = 2) -> Array:
    return np.random.default_rng(seed).normal(1.0, 0.1, (steps, slots, 39)).astype(np.float32)


def test_the_memory_acts_as_the_network_does_on_the_same_steps(network: PromptedNetwork, prompts: Window) -> None:
    steps, rows = LONGEST + 7, [2, 0]
    session = TransformerSession(network, prompts, MEMORY, 2)
    for slot, row in enumerate(rows):
        session.assign(slot, row)
    observations = observed(steps, 2)
    actions = np.stack([session.act(each) for each in observations])
    prompt = Window(*(part[rows] for part in (prompts.states, prompts.actions, prompts.to_go, prompts.steps)))
    first = 0
    for step in range(steps):
        if step - first == MEMORY:
            first = step - MEMORY // 2
        numbers = torch.arange(first, step + 1).clamp_max(LONGEST - 1).expand(2, -1)
        before = np.concatenate([actions[first:step], np.zeros_like(actions[:1])]).transpose(1, 0, 2)
        states = torch.from_numpy(observations[first : step + 1].transpose(1, 0, 2).copy())
        window = Window(states, torch.from_numpy(before.copy()), network.wanted[numbers][:, :, None], numbers)
        np.testing.assert_allclose(network(window, prompt)[:, -1].numpy(), actions[step], atol=2e-5)


def test_an_action_depends_bit_for_bit_on_its_own_episode_alone(network: PromptedNetwork, prompts: Window) -> None:
    mine, others = observed(10, 1), observed(14, 3, seed=3)
    alone = TransformerSession(network, prompts, MEMORY, 1)
    alone.assign(0, 1)
    wanted = [alone.act(each)[0] for each in mine]
    crowd = TransformerSession(network, prompts, MEMORY, 3)
    crowd.assign(0, 2)
    for each in others[:4]:
        crowd.act(each)
    crowd.assign(1, 1)  # the others are in the midst of their episodes, this slot held another one
    for step, each in enumerate(others[4:]):
        each[1] = mine[step, 0]
        assert np.array_equal(crowd.act(each)[1], wanted[step])


def test_what_was_not_finite_is_forgotten_with_its_episode(network: PromptedNetwork, prompts: Window) -> None:
    observations = observed(2 * MEMORY, 2)
    fresh, used = (TransformerSession(network, prompts, MEMORY, 2) for _ in range(2))
    for slot in range(2):
        used.assign(slot, 2)
    for each in observations:
        broken = each.copy()
        broken[1] = np.nan
        found = used.act(broken)
        assert np.isfinite(found[0]).all()
        assert not np.isfinite(found[1]).any()
    for session in (fresh, used):
        for slot in range(2):
            session.assign(slot, slot)
    for each in observations:
        assert np.array_equal(fresh.act(each), used.act(each))


def test_the_prompt_and_the_past_matter(network: PromptedNetwork, prompts: Window) -> None:
    observations = observed(3, 3)
    observations[:, 1:] = observations[:, :1]
    session = TransformerSession(network, prompts, MEMORY, 3)
    for slot, row in enumerate((0, 1, 0)):
        session.assign(slot, row)
    first = session.act(observations[0])
    assert not np.allclose(first[0], first[1])
    session.assign(2, 0)
    second = session.act(observations[1])
    assert not np.allclose(second[0], second[2])


def test_prompts_are_the_states_with_the_action_taken_there() -> None:
    tau = np.arange(1020, dtype=np.float32)[None]
    one = np.zeros(1, np.int64)
    found = prompt_windows(Prompts("reach", "test", tau, tau[:, :117], one, one), 5)
    assert found.steps.tolist() == [[0, 15, 30, 42, 57]]
    assert found.states[0, :, 0].tolist() == [0, 5 * 51, 10 * 51, 14 * 51, 19 * 51]
    assert found.actions[0, 1].tolist() == [5 * 51 + 39 + i for i in range(4)]
    assert not found.to_go.any()


def test_the_step_size_grows_before_it_falls() -> None:
    settings = PromptedTransformer(steps=100, warm_up=10, learning_rate=0.1)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = settings.optimiser([weight])
    rates = []
    for step in range(100):
        weight.grad = torch.ones(1)
        settings.update(optimiser, step)
        rates.append(optimiser.param_groups[0]["lr"])
    assert rates[0] == pytest.approx(0.01)
    assert rates.index(max(rates)) == 9
    assert rates[-1] < 0.001


@pytest.mark.parametrize("memory", [1, SETTINGS.context + 1])
def test_a_memory_is_no_longer_than_the_context(network: PromptedNetwork, prompts: Window, memory: int) -> None:
    with pytest.raises(ValueError, match="holds 2 to 8"):
        TransformerSession(network, prompts, memory, 1)
