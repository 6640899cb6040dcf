"""Generators, discriminator, auxiliary heads, HypFormer, embedding: shapes, published sizes, effects of settings."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_regressions.ndarrays_regression import NDArraysRegressionFixture

from hyprepro.errors import UserError
from hyprepro.gen_hyprl.blocks import Scaling
from hyprepro.gen_hyprl.discriminator import LinearAuxHead, MLPAuxHead, MLPDiscriminator
from hyprepro.gen_hyprl.embedding import ContrastiveEmbedding
from hyprepro.gen_hyprl.generators import Generator, MLPUNetGenerator, UNet1DGenerator
from hyprepro.gen_hyprl.hypformer import HypFormer
from hyprepro.gen_hyprl.hyplatent import HypLatent
from hyprepro.methods.regressor import MLPRegressor

GENERATORS: list[Generator] = [
    UNet1DGenerator(),
    UNet1DGenerator(conditioning="concat", channels=(4, 8), context=16),
    MLPUNetGenerator(widths=(32, 16)),
]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def weights(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("generator", GENERATORS, ids=("unet1d", "unet1d-concat", "mlp_unet"))
def test_generators_map_condition_and_noise_to_two_tokens(generator: Generator) -> None:
    torch.manual_seed(0)
    network = generator.build(condition_size=6, noise_size=4, latent_size=64).eval()
    condition, noise = normal(3, 6), normal(3, 4, seed=1)
    latents = network(condition, noise)
    assert latents.shape == (3, 2, 64)
    assert not torch.allclose(latents, network(condition + 1, noise))
    assert not torch.allclose(latents, network(condition, noise + 1))


@settings(max_examples=20, deadline=None)
@given(channels=st.lists(st.sampled_from([4, 8, 12]), min_size=2, max_size=4), patch=st.sampled_from([1, 2, 4]))
def test_the_1d_unet_fits_every_latent_size_that_its_coarsest_position_divides(channels: list[int], patch: int) -> None:
    size = 2 * patch * 2 ** (len(channels) - 1)
    network = UNet1DGenerator(channels=tuple(channels), patch=patch, context=8).build(2, 2, size)
    assert network(normal(2, 2), normal(2, 2)).shape == (2, 2, size)


def test_the_1d_unet_refuses_what_does_not_fit() -> None:
    with pytest.raises(UserError, match="does not divide D = 100"):
        UNet1DGenerator().build(2, 2, 100)
    with pytest.raises(UserError, match="multiples of groups"):
        UNet1DGenerator(channels=(6, 8)).build(2, 2, 64)
    with pytest.raises(UserError, match="odd"):
        UNet1DGenerator(kernel=4).build(2, 2, 64)


def test_every_weight_of_the_1d_unet_learns_once_its_output_has_moved() -> None:
    torch.manual_seed(0)
    network = UNet1DGenerator(channels=(4, 8), context=8).build(3, 2, 16)
    torch.nn.init.normal_(network.head.weight)  # it starts at zero
    network(normal(4, 3), normal(4, 2)).square().sum().backward()
    dead = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert dead == []


def test_published_sizes_of_the_released_networks() -> None:
    with torch.device("meta"):
        generator = MLPUNetGenerator().build(128, 128, 1024)
        discriminator = MLPDiscriminator(hidden=(1024, 1024, 512)).build(1024)
        q = LinearAuxHead().build(512, 128)
        hypformer = HypFormer(condition="h", feedforward=2048).build(128, 1024)
    assert weights(generator) == pytest.approx(6.04e6, rel=0.002)
    assert weights(discriminator) + weights(q) == pytest.approx(3.74e6, rel=0.002)
    assert weights(hypformer) == pytest.approx(3.39e6, rel=0.05)  # its MLPs' exact depths are not published


def test_discriminator_features_feed_both_heads() -> None:
    discriminator = MLPDiscriminator(hidden=(16, 16, 8)).build(4).eval()
    latents = normal(5, 2, 4)
    features = discriminator.features(latents)
    assert features.shape == (5, 8)
    assert torch.equal(discriminator(latents), discriminator.logit(features))
    for head in (MLPAuxHead(hidden=4), LinearAuxHead()):
        assert head.build(8, 6)(features).shape == (5, 6)


def test_noise_enters_hyplatent_and_scaling_is_undone() -> None:
    torch.manual_seed(0)
    model = HypLatent(noise_size=3, generator=MLPUNetGenerator(widths=(8,))).build(4, 16).eval()
    data = 5 + 2 * normal(50, 2, 16)
    model.scaling.fit(data, "standard")
    h, v, noise = normal(3, 4), normal(3, 4, seed=1), normal(3, 3, seed=2)
    expected = model.scaled(h, v, noise) * data.std(0, correction=0) + data.mean(0)
    assert torch.allclose(model.generate(h, v, noise), expected, atol=1e-4)


def test_with_condition_h_nothing_depends_on_v() -> None:
    torch.manual_seed(0)
    h, v, noise = normal(3, 4), normal(3, 4, seed=1), normal(3, 128, seed=2)
    candidates = normal(3, 8, 2, 16, seed=3)
    for kind, same in (("h", True), ("h_and_v", False)):
        small = UNet1DGenerator(channels=(4, 8), context=8)
        latent = HypLatent(condition=kind, generator=small).build(4, 16).eval()
        former = HypFormer(condition=kind, width=8, heads=4, latent_skip=False).build(4, 16).eval()
        regressor = MLPRegressor(condition=kind, hidden=(8,)).build(4, 16).eval()
        assert torch.allclose(latent.generate(h, v, noise), latent.generate(h, 2 * v, noise)) == same
        assert torch.allclose(former.aggregate(candidates, h, v), former.aggregate(candidates, h, 2 * v)) == same
        assert torch.allclose(regressor.predict(h, v), regressor.predict(h, 2 * v)) == same


def hypformer(**changes: object) -> torch.nn.Module:
    torch.manual_seed(0)
    options = {"width": 16, "heads": 8, "feedforward": 16, "latent_skip": False, **changes}
    return HypFormer(**options).build(4, 8).eval()  # type: ignore[arg-type]


def test_hypformer_does_not_depend_on_the_order_of_its_candidates() -> None:
    model, candidates, h, v = hypformer(), normal(3, 8, 2, 8), normal(3, 4), normal(3, 4, seed=1)
    shuffled = candidates[:, torch.randperm(8, generator=torch.Generator().manual_seed(0))]
    assert torch.allclose(model.aggregate(candidates, h, v), model.aggregate(shuffled, h, v), atol=1e-5)


@pytest.mark.parametrize(("attention", "mixes_prompts"), [("candidates", False), ("batch", True)])
def test_only_attention_over_the_batch_mixes_prompts(attention: str, mixes_prompts: bool) -> None:
    model = hypformer(attention=attention)
    candidates, h, v = normal(5, 8, 2, 8), normal(5, 4), normal(5, 4, seed=1)
    together = model.aggregate(candidates, h, v)[:1]
    alone = model.aggregate(candidates[:1], h[:1], v[:1])
    assert torch.allclose(together, alone, atol=1e-5) != mixes_prompts


@pytest.mark.parametrize(("attention", "interact"), [("candidates", True), ("batch", False)])
def test_only_attention_over_candidates_lets_them_interact(attention: str, interact: bool) -> None:
    # Without interaction the output is a sum over tokens: changing one candidate adds the same whatever the others are.
    model = hypformer(attention=attention)
    candidates, h, v = normal(4, 8, 2, 8), normal(4, 4), normal(4, 4, seed=1)
    other = candidates.clone()
    other[:, 1] += 1

    def effect_of_first(base: torch.Tensor) -> torch.Tensor:
        changed = base.clone()
        changed[:, 0] += 1
        return model.aggregate(changed, h, v) - model.aggregate(base, h, v)

    assert torch.allclose(effect_of_first(candidates), effect_of_first(other), atol=1e-5) != interact


def test_an_untrained_hypformer_with_skip_returns_the_mean_candidate() -> None:
    model, candidates = hypformer(latent_skip=True), normal(3, 8, 2, 8)
    result = model.aggregate(candidates, normal(3, 4), normal(3, 4))
    assert torch.allclose(result, candidates.mean(1), atol=1e-5)


def test_hypformer_refuses_heads_that_do_not_divide_its_width() -> None:
    with pytest.raises(UserError, match="not divisible"):
        HypFormer(width=20, heads=8).build(4, 8)


def test_embedding_scales_its_outputs_as_fitted() -> None:
    torch.manual_seed(0)
    model = ContrastiveEmbedding(embedding_size=4, prompt_hidden=(8,), outcome_hidden=8).build(10, 6).eval()
    tau, tau_hat = normal(30, 10), normal(30, 6, seed=1)
    h, v = model.raw(tau, tau_hat)
    model.h_scaling.fit(h, "standard")
    model.v_scaling.fit(v, "standard")
    for part in model.embed(tau, tau_hat):
        assert part.mean(0).abs().max() < 1e-4
        assert part.std(0, correction=0).sub(1).abs().max() < 1e-3


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from(["none", "standard", "minmax", "common"]), seed=st.integers(0, 100), scale=st.floats(1e-3, 1e3)
)
def test_scaling_is_invertible_and_survives_constant_entries(kind: str, seed: int, scale: float) -> None:
    data = scale * normal(20, 2, 5, seed=seed)
    data[:, 0, 0] = 3.0
    scaling = Scaling((2, 5))
    scaling.fit(data, kind)  # type: ignore[arg-type]
    scaled = scaling(data)
    assert torch.isfinite(scaled).all()
    assert torch.allclose(scaling.inverse(scaled), data, rtol=1e-3, atol=1e-4 * scale)
    if kind == "minmax":
        assert scaled.abs().max() <= 1 + 1e-4
    if kind == "common":
        assert scaled.square().mean(dim=(0, 2))[1] == pytest.approx(1, rel=1e-3)


def test_golden_outputs_of_all_networks(ndarrays_regression: NDArraysRegressionFixture) -> None:
    """The same weights and inputs give the same outputs as when the networks were written."""
    torch.manual_seed(0)
    h, v, noise = normal(2, 4), normal(2, 4, seed=1), normal(2, 3, seed=2)
    small = UNet1DGenerator(channels=(4, 8), context=8, patch=2)
    unet, mlp_unet = small.build(8, 3, 8).eval(), MLPUNetGenerator(widths=(8, 4)).build(8, 3, 8).eval()
    for network in (unet, mlp_unet):
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    discriminator = MLPDiscriminator(hidden=(8, 8, 4)).build(8).eval()
    condition, candidates = torch.cat([h, v], 1), normal(2, 3, 2, 8, seed=3)
    outputs = {
        "unet1d": unet(condition, noise),
        "mlp_unet": mlp_unet(condition, noise),
        "discriminator": discriminator(candidates[:, 0]),
        "hypformer": hypformer().aggregate(candidates, h, v),
    }
    values = {name: output.detach().numpy() for name, output in outputs.items()}
    ndarrays_regression.check(values, default_tolerance={"atol": 1e-5, "rtol": 1e-4})
