"""Make-An-Agent's diffusion: the schedule against `diffusers`, the UNet's shapes and conditioning, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from hyprepro.errors import UserError
from hyprepro.methods.make_an_agent import LatentDiffusion
from hyprepro.methods.make_an_agent_net import DDIM, ConditionalUNet1D

SMALL = LatentDiffusion(channels=(16, 32), groups=4, step_embedding=8, inference_steps=4)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def reference(levels: int, steps: int, clip: float) -> Any:
    """The scheduler of Make-An-Agent's configuration."""
    scheduler = pytest.importorskip("diffusers").DDIMScheduler(
        num_train_timesteps=levels,
        beta_start=1e-4,
        beta_end=0.02,
        beta_schedule="squaredcos_cap_v2",
        clip_sample=clip > 0,
        clip_sample_range=clip or 1.0,
        set_alpha_to_one=True,
        steps_offset=0,
        prediction_type="sample",
    )
    scheduler.set_timesteps(steps)
    return scheduler


@pytest.mark.parametrize(("levels", "steps", "clip"), [(100, 10, 1.0), (100, 7, 0.0), (50, 50, 0.5), (4, 1, 1.0)])
def test_ddim_agrees_with_diffusers_step_by_step(levels: int, steps: int, clip: float) -> None:
    ours, theirs = DDIM(levels, steps, clip), reference(levels, steps, clip)
    assert ours.steps == theirs.timesteps.tolist()
    x = normal(5, 2, 6)
    for level in ours.steps:
        predicted = 1.5 * normal(5, 2, 6, seed=level + 1)
        expected = theirs.step(predicted, level, x).prev_sample
        x = ours.step(predicted, level, x)
        assert torch.allclose(x, expected, atol=1e-5)


def test_noise_is_added_as_diffusers_adds_it() -> None:
    sample, noise, level = normal(100, 2, 6), normal(100, 2, 6, seed=1), torch.arange(100)
    expected = reference(100, 10, 1.0).add_noise(sample, noise, level)
    assert torch.allclose(DDIM(100, 10, 1.0).noised(sample, noise, level), expected, atol=1e-6)


def test_a_perfect_prediction_is_what_sampling_ends_with() -> None:
    wanted = normal(3, 2, 4).clamp(-1, 1)
    assert torch.allclose(DDIM(100, 10, 1.0).sample(lambda x, level: wanted, normal(3, 2, 4, seed=1)), wanted)


def test_samples_stay_in_the_clamped_range() -> None:
    sampled = DDIM(100, 10, 1.0).sample(lambda x, level: 3 * x, normal(20, 2, 8))
    assert sampled.abs().max() == 1
    assert DDIM(100, 10, 0.0).sample(lambda x, level: 3 * x, normal(20, 2, 8)).abs().max() > 3


@pytest.mark.parametrize("channels", [(8, 16), (8, 16, 24)])
def test_the_unet_keeps_the_shape_and_sees_input_level_and_condition(channels: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = ConditionalUNet1D(6, 5, channels, kernel=3, groups=4, step_embedding=8)
    x, level, condition = normal(3, 6, 2), torch.tensor([0, 1, 50]), normal(3, 5, seed=1)
    found = network(x, level, condition)
    assert found.shape == x.shape
    assert not torch.allclose(found, network(x + 1, level, condition))
    assert not torch.allclose(found, network(x, level + 1, condition))
    other = network(x, level, torch.cat([condition[:1] + 1, condition[1:]]))
    assert not torch.allclose(found[0], other[0])
    assert torch.allclose(found[1:], other[1:], atol=1e-6), "a prompt's latent depends on no other prompt"


def test_film_alone_carries_the_condition() -> None:
    torch.manual_seed(0)
    network = ConditionalUNet1D(6, 5, (8, 16), kernel=3, groups=4, step_embedding=8)
    for name, parameter in network.named_parameters():
        if ".film." in name and name.endswith("weight"):
            torch.nn.init.zeros_(parameter)
    x, level = normal(3, 6, 2), torch.tensor([0, 1, 50])
    assert torch.equal(network(x, level, normal(3, 5)), network(x, level + 7, normal(3, 5, seed=1)))


def test_every_weight_of_the_unet_learns() -> None:
    torch.manual_seed(0)
    network = ConditionalUNet1D(6, 5, (8, 16, 16), kernel=3, groups=4, step_embedding=8)
    network(normal(4, 6, 2), torch.arange(4), normal(4, 5)).square().sum().backward()
    dead = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert dead == []


def test_the_published_unet_is_built() -> None:
    with torch.device("meta"):
        model = LatentDiffusion(channels=(512, 1024, 2048)).build(128, 1024)
        assert model.predicted(torch.empty(2, 2, 1024), torch.zeros(2), torch.empty(2, 256)).shape == (2, 2, 1024)
    # counted layer by layer from the released definition
    assert sum(parameter.numel() for parameter in model.parameters()) == 163_048_576


def test_one_draw_a_prompt_from_the_given_noise() -> None:
    torch.manual_seed(0)
    model = SMALL.build(4, 16).eval()
    h, v = normal(3, 4), normal(3, 4, seed=1)
    first, again, other = (model.draw(h, v, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert first.shape == (3, 2, 16)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_with_condition_h_nothing_depends_on_v() -> None:
    torch.manual_seed(0)
    h, v, noise = normal(3, 4), normal(3, 4, seed=1), normal(3, 2, 16, seed=2)
    for kind, same in (("h", True), ("h_and_v", False)):
        model = SMALL.model_copy(update={"condition": kind}).build(4, 16).eval()
        assert torch.equal(model.generate(h, v, noise), model.generate(h, 2 * v, noise)) == same


@pytest.mark.parametrize(
    "changes", [{"inference_steps": 0}, {"noise_levels": 0}, {"channels": (16,)}, {"step_embedding": 7}, {"steps": -1}]
)
def test_what_cannot_be_is_refused_by_its_limits(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LatentDiffusion(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": (12, 16)}, "multiples of groups"),
        ({"kernel": 4}, "odd"),
        ({"noise_levels": 5}, "at least as many noise levels"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        LatentDiffusion(**changes).build(4, 16)
