"""The three autoencoders: shapes, closed forms and what their settings change."""

from __future__ import annotations

import pytest
import torch

from hyprepro.gen_hyprl.autoencoder import Autoencoder, DeepAutoencoder, LinearAutoencoder, PCAAutoencoder
from hyprepro.gen_hyprl.parameter_space import SMALLEST_DEVIATION, ParameterSpace, principal_directions
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import METAWORLD_LAYOUT, PolicyLayout

LAYOUT = PolicyLayout.mlp(5, 8, 2, ("relu", "relu"))
FIRST = LAYOUT.first_layer_size
OBSERVATIONS = torch.randn(50, 5, generator=torch.Generator().manual_seed(9)) * torch.tensor([3.0, 1.0, 0.3, 0.1, 0.0])


def policies(count: int = 40, rank: int = 6, noise: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    code, basis = torch.randn(count, rank, generator=generator), torch.randn(rank, LAYOUT.size, generator=generator)
    return 0.1 + 0.02 * code @ basis + noise * torch.randn(count, LAYOUT.size, generator=generator)


@pytest.mark.parametrize(
    "settings",
    [
        LinearAutoencoder(latent_size=8),
        PCAAutoencoder(latent_size=8, input_noise=0.0),
        DeepAutoencoder(latent_size=8, hidden=(16,)),
    ],
    ids=lambda settings: type(settings).__name__,
)
def test_latents_are_two_tokens_and_decode_to_parameters(settings: Autoencoder) -> None:
    params = policies()
    model = settings.build(LAYOUT)
    settings.start(model, params, OBSERVATIONS)
    latents = model.encode(params)
    assert latents.shape == (40, 2, 8)
    assert model.decode(latents).shape == params.shape


def test_the_first_token_holds_the_first_chunk_alone() -> None:
    params, settings = policies(), PCAAutoencoder(latent_size=8, input_noise=0.0)
    model = settings.build(LAYOUT)
    settings.start(model, params, OBSERVATIONS)
    changed = params.clone()
    changed[:, FIRST:] += 1
    before, after = model.encode(params), model.encode(changed)
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.allclose(before[:, 1], after[:, 1])


def test_principal_components_reconstruct_policies_of_low_rank_exactly_even_unseen_ones() -> None:
    params, settings = policies(80), PCAAutoencoder(latent_size=8, input_noise=0.0)
    model = settings.build(LAYOUT)
    settings.start(model, params[:60], OBSERVATIONS)
    assert torch.allclose(model.decode(model.encode(params[60:])), params[60:], atol=1e-4)


def test_pca_is_the_best_linear_autoencoder() -> None:
    params = policies(noise=0.01)
    errors = []
    for settings in (
        PCAAutoencoder(latent_size=3, input_noise=0.0),
        LinearAutoencoder(latent_size=3, initialisation="random"),
    ):
        model = settings.build(LAYOUT)
        settings.start(model, params, OBSERVATIONS)
        errors.append((model.decode(model.encode(params)) - params).square().mean().item())
    assert errors[0] < errors[1]


def test_a_pca_start_gives_latents_of_unit_mean_square_ordered_by_variance() -> None:
    params, settings = policies(rank=20), LinearAutoencoder(latent_size=8)
    model = settings.build(LAYOUT)
    settings.start(model, params, OBSERVATIONS)
    latents = model.encode(params).detach()
    assert latents.square().mean(dim=(0, 2)).tolist() == pytest.approx([1, 1], rel=1e-3)
    variances = latents[:, 0].var(0)
    assert (variances[:-1] >= variances[1:] - 1e-6).all()


def test_a_pca_start_behind_a_layer_norm_still_reconstructs() -> None:
    params = policies()
    settings = LinearAutoencoder(
        latent_size=16, latent_norm="layer", parameter_scaling="none", coordinates="raw", input_noise=0.0
    )
    model = settings.build(LAYOUT)
    settings.start(model, params, OBSERVATIONS)
    error = (model.decode(model.encode(params)) - params).square().sum() / (params - params.mean(0)).square().sum()
    assert error < 0.1


def test_more_components_than_policies_leave_the_rest_zero() -> None:
    params, settings = policies(count=5), PCAAutoencoder(latent_size=16, input_noise=0.0)
    model = settings.build(LAYOUT)
    settings.start(model, params, OBSERVATIONS)
    latents = model.encode(params)
    assert torch.isfinite(latents).all()
    assert (latents[:, :, 5:] == 0).all()
    assert torch.allclose(model.decode(latents), params, atol=1e-4)


def test_published_size_of_make_an_agents_autoencoder() -> None:
    with torch.device("meta"):
        model = LinearAutoencoder(latent_size=1024, latent_norm="layer").build(METAWORLD_LAYOUT)
    weights = sum(parameter.numel() for parameter in model.parameters())
    assert weights == pytest.approx(46.4e6, rel=0.002)


def test_principal_directions_are_orthonormal_and_do_not_depend_on_the_sign_of_the_data() -> None:
    rows = policies(noise=0.01) - 0.1
    directions = principal_directions(rows, 5)
    assert torch.allclose(directions @ directions.T, torch.eye(5), atol=1e-5)
    assert torch.allclose(principal_directions(-rows, 5), directions, atol=1e-5)


def test_principal_directions_agree_with_the_singular_value_decomposition() -> None:
    rows = policies(noise=0.01)
    _, _, expected = torch.linalg.svd(rows, full_matrices=False)
    cosines = (principal_directions(rows, 4) * expected[:4]).sum(1).abs()
    assert torch.allclose(cosines, torch.ones(4), atol=1e-4)


def test_the_parameter_space_keeps_policies_and_is_undone() -> None:
    params, space = policies(noise=0.01), ParameterSpace(LAYOUT)
    space.fit(params, "common", OBSERVATIONS)
    scaled = space(params)
    assert torch.allclose(space.inverse(scaled), params, atol=1e-4)
    for chunk in space.chunks(scaled):
        assert chunk.mean(0).abs().max() < 1e-4
        assert chunk.square().mean().item() == pytest.approx(1, rel=1e-3)


def test_the_first_layer_for_standardised_observations_gives_the_same_actions() -> None:
    params, space = policies(noise=0.01), ParameterSpace(LAYOUT)
    space.fit(params, "none", OBSERVATIONS)
    deviation = OBSERVATIONS.std(0, correction=0).clamp_min(SMALLEST_DEVIATION)
    standardised = (OBSERVATIONS - OBSERVATIONS.mean(0)) / deviation
    expected = StackedPolicies(LAYOUT, params).means(OBSERVATIONS)
    assert torch.allclose(StackedPolicies(LAYOUT, space(params)).means(standardised), expected, atol=1e-4)


def test_raw_coordinates_leave_the_first_layer_as_stored() -> None:
    params, settings = policies(), PCAAutoencoder(latent_size=8, coordinates="raw", parameter_scaling="none")
    model = settings.build(LAYOUT)
    settings.start(model, params, OBSERVATIONS)
    assert torch.equal(model.space(params), params)


def test_the_closed_form_start_is_the_minimum_of_eq_1_with_input_noise() -> None:
    params, noise = policies(200, rank=12, noise=0.02), 0.5
    errors = {}
    for shrunk_for in (0.0, noise, 2.0):
        settings = PCAAutoencoder(latent_size=40, input_noise=shrunk_for)
        model = settings.build(LAYOUT)
        settings.start(model, params, OBSERVATIONS)
        target = model.space(params).repeat(20, 1)
        noisy = target + noise * torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
        errors[shrunk_for] = (model.scaled_from(model.latents_of(noisy)) - target).square().mean().item()
    assert errors[noise] < min(errors[0.0], errors[2.0])
