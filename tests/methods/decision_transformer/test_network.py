"""The causal transformer: nothing of the future, prompts and padding, published sizes, and the agent's memory."""

from __future__ import annotations

import pytest
import torch
from pytest_regressions.ndarrays_regression import NDArraysRegressionFixture
from torch import Tensor

from hyprepro.methods.decision_transformer.network import Agent, DecisionTransformer, Segment

STATE, ACTION, CONTEXT = 5, 3, 6


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def network(prompt: bool = True, heads: int = 2, layers: int = 2) -> DecisionTransformer:
    torch.manual_seed(0)
    built = DecisionTransformer(STATE, ACTION, 16, layers, heads, CONTEXT, 20, dropout=0.1, prompt=prompt)
    for parameter in built.parameters():  # GPT-2's small start would hide an influence below the tolerance
        torch.nn.init.normal_(parameter, std=0.3)
    return built.eval()


def segment(steps: int, rows: int = 4, first: int = 0, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    numbers = torch.arange(first, first + steps).expand(rows, -1)
    return (
        normal(rows, steps, STATE, seed=seed),
        normal(rows, steps, ACTION, seed=seed + 1),
        normal(rows, steps, 1, seed=seed + 2),
        numbers,
    )


def test_actions_depend_on_everything_up_to_their_state_and_on_nothing_later() -> None:
    model, window = network(), segment(CONTEXT)
    before = model(*window)
    assert before.shape == (4, CONTEXT, ACTION)
    assert before.abs().max() < 1
    changed_step = 3
    for part, first_that_sees_it in ((0, 3), (1, 4), (2, 3)):  # the action of a step comes after its state
        changed = [tensor.clone() for tensor in window]
        changed[part][:, changed_step] += 1
        difference = (model(*changed) - before).abs().amax(dim=(0, 2))
        assert (difference[:first_that_sees_it] == 0).all()
        assert (difference[first_that_sees_it:] > 1e-4).all()


def test_the_number_of_a_step_matters_and_rows_do_not_mix() -> None:
    model, window = network(), segment(CONTEXT)
    before = model(*window)
    assert not torch.allclose(model(*window[:3], window[3] + 1), before, atol=1e-3)
    alone = model(*(tensor[1:2] for tensor in window))
    assert torch.allclose(alone, before[1:2], atol=1e-6)


def test_padding_in_window_and_prompt_changes_nothing() -> None:
    model, window, prompt = network(), segment(4, first=7), segment(3, first=15, seed=9)
    plain = model(*window, prompt=(*prompt, None))

    def padded(part: tuple[Tensor, ...], count: int) -> Segment:
        states, actions, returns, steps = (
            torch.cat([torch.full_like(tensor[:, :1].repeat_interleave(count, 1), 3), tensor], dim=1) for tensor in part
        )
        real = torch.ones(4, states.shape[1], dtype=torch.bool)
        real[:, :count] = False
        return states, actions, returns, steps, real

    both = model(*padded(window, 2), prompt=padded(prompt, 1))
    assert torch.isfinite(both).all()
    assert torch.allclose(both[:, 2:], plain, atol=1e-5)
    only_window = model(*padded(window, 2), prompt=(*prompt, None))
    assert torch.allclose(only_window[:, 2:], plain, atol=1e-5)


def test_a_prompt_is_seen_by_every_step_and_has_embeddings_of_its_own() -> None:
    model, window, prompt = network(), segment(CONTEXT), segment(2, seed=5)
    other = segment(2, seed=6)
    difference = (model(*window, prompt=(*prompt, None)) - model(*window, prompt=(*other, None))).abs()
    assert (difference.amax(dim=(0, 2)) > 1e-4).all()
    assert model.prompt_embed is not None
    weight = model.prompt_embed.state.weight
    used, unused = (
        torch.autograd.grad(model(*window, prompt=shown).sum(), weight, allow_unused=True)[0]
        for shown in ((*prompt, None), None)
    )
    assert used.abs().sum() > 0
    assert unused is None


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="7 steps does not fit into a context of 6"):
        network()(*segment(CONTEXT + 1))
    with pytest.raises(ValueError, match="without prompts"):
        network(prompt=False)(*segment(2), prompt=(*segment(2), None))


def test_a_block_has_the_size_and_the_start_of_gpt_2s() -> None:
    def size(layers: int, prompt: bool = False) -> int:
        model = DecisionTransformer(17, 6, 128, layers, 1, 20, 200, dropout=0.1, prompt=prompt)
        return sum(parameter.numel() for parameter in model.parameters())

    block = 12 * 128**2 + 13 * 128
    embeddings = 128 * (200 + 1 + 1 + 17 + 1 + 6 + 1)
    assert size(1) - size(0) == block
    assert size(3) == 3 * block + embeddings + 2 * 2 * 128 + 129 * 6
    assert size(3, prompt=True) - size(3) == embeddings
    reference = torch.nn.TransformerEncoderLayer(128, 1, 512, activation="relu", norm_first=True)
    assert block == sum(parameter.numel() for parameter in reference.parameters())


def test_a_block_computes_what_torchs_pre_norm_encoder_layer_does() -> None:
    block = network(layers=1).blocks[0]
    reference = torch.nn.TransformerEncoderLayer(16, 2, 64, activation="relu", norm_first=True, batch_first=True).eval()
    theirs = reference.state_dict()
    names = {
        "self_attn.in_proj_": "queries_keys_values.",
        "self_attn.out_proj.": "attention_out.",
        "norm1.": "attention_norm.",
        "norm2.": "mlp_norm.",
        "linear1.": "mlp.0.",
        "linear2.": "mlp.2.",
    }
    ours = block.state_dict()
    for their_name, our_name in names.items():
        for kind in ("weight", "bias"):
            theirs[their_name + kind] = ours[our_name + kind]
    reference.load_state_dict(theirs)
    tokens = normal(3, 7, 16)
    mask = torch.nn.Transformer.generate_square_subsequent_mask(7)
    assert torch.allclose(block(tokens, None), reference(tokens, mask, is_causal=True), atol=1e-5)


def test_every_weight_learns() -> None:
    torch.manual_seed(0)
    model = DecisionTransformer(STATE, ACTION, 16, 2, 2, CONTEXT, CONTEXT, dropout=0.0, prompt=True)
    model(*segment(CONTEXT), prompt=(*segment(CONTEXT, seed=3), None)).square().sum().backward()
    dead = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert dead == []


def test_the_agent_remembers_its_last_steps_and_counts_its_return_down() -> None:
    model, prompt = network(), (*segment(2, seed=5), None)
    steps = CONTEXT + 3
    states, rewards = normal(4, steps, STATE), normal(4, steps, seed=8)
    agent = Agent(model, target=2.0, prompt=prompt)
    actions = []
    for step in range(steps):
        actions.append(agent.act(states[:, step]))
        agent.observe(rewards[:, step])
    to_go = 2.0 - torch.cat([torch.zeros(4, 1), rewards.cumsum(1)[:, :-1]], dim=1)
    done = torch.stack(actions, dim=1)
    for last in (0, 2, steps - 1):
        seen = slice(max(0, last + 1 - CONTEXT), last + 1)
        past = torch.cat([done[:, seen][:, :-1], torch.zeros(4, 1, ACTION)], dim=1)
        numbers = torch.arange(seen.start, seen.stop).expand(4, -1)
        whole = model(states[:, seen], past, to_go[:, seen, None], numbers, prompt=prompt)
        assert torch.allclose(whole[:, -1], done[:, last], atol=1e-5)


def test_golden_output(ndarrays_regression: NDArraysRegressionFixture) -> None:
    model = network()
    values = {
        "plain": model(*segment(CONTEXT)),
        "prompted": model(*segment(CONTEXT), prompt=(*segment(2, first=3, seed=5), None)),
    }
    outputs = {name: value.detach().numpy() for name, value in values.items()}
    ndarrays_regression.check(outputs, default_tolerance={"atol": 1e-5, "rtol": 1e-4})
