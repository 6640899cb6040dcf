"""Each equation against its own formula, written out, and the differences between its variants."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from hyprepro.gen_hyprl import losses


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_eq1_is_lambda_times_the_mean_squared_error() -> None:
    a, b = normal(3, 5), normal(3, 5, seed=1)
    assert losses.eq1_autoencoder(a, b).item() == pytest.approx(1000 * (a - b).square().mean().item(), rel=1e-5)
    assert losses.eq1_autoencoder(a, a).item() == 0


def test_eq2_as_printed_is_minus_mean_log_of_the_own_share_of_positive_scores() -> None:
    h, v, w = normal(4, 3).abs(), normal(4, 3, seed=1).abs(), torch.eye(3)
    scores = h @ v.T
    expected = -sum(math.log(scores[i, i] / scores[i].sum()) for i in range(4)) / 4
    assert losses.eq2_behavior(h, v, w, "paper").item() == pytest.approx(expected, rel=1e-5)


def test_eq2_as_printed_stays_finite_with_negative_scores() -> None:
    h = normal(6, 3).requires_grad_()
    loss = losses.eq2_behavior(h, normal(6, 3, seed=1), torch.eye(3), "paper")
    loss.backward()
    assert torch.isfinite(loss)
    assert h.grad is not None
    assert torch.isfinite(h.grad).all()


def test_eq2_infonce_is_eq2_with_exponentiated_scores() -> None:
    h, v, w = normal(5, 3), normal(5, 3, seed=1), normal(3, 3, seed=2)
    scores = (h @ w @ v.T).exp()
    expected = -(scores.diagonal() / scores.sum(1)).log().mean().item()
    assert losses.eq2_behavior(h, v, w, "infonce").item() == pytest.approx(expected, rel=1e-5)


def test_eq2_infonce_prefers_matching_pairs() -> None:
    h = 3 * functional.normalize(normal(8, 16), dim=1)
    w = torch.eye(16)
    assert losses.eq2_behavior(h, h, w) < losses.eq2_behavior(h, h.roll(1, 0), w)


def test_eq3_variants_are_log_one_minus_f_and_minus_log_f() -> None:
    logit = normal(7)
    f = torch.sigmoid(logit)
    assert losses.eq3_generator(logit, "saturating").item() == pytest.approx((1 - f).log().mean().item(), rel=1e-5)
    assert losses.eq3_generator(logit, "nonsaturating").item() == pytest.approx(-f.log().mean().item(), rel=1e-5)


def test_eq3_both_variants_push_the_logit_up_and_only_one_saturates() -> None:
    gradients = {}
    for kind in ("saturating", "nonsaturating"):
        logit = torch.full((1,), -8.0, requires_grad=True)  # the discriminator is sure that this is generated
        losses.eq3_generator(logit, kind).backward()  # type: ignore[arg-type]
        assert logit.grad is not None
        gradients[kind] = logit.grad.item()
    assert gradients["saturating"] == pytest.approx(0, abs=1e-3)
    assert gradients["nonsaturating"] == pytest.approx(-1, abs=1e-3)


def test_eq4_is_the_negative_of_the_printed_objective_and_smoothing_moves_its_minimum() -> None:
    real, fake = normal(5), normal(5, seed=1)
    printed = torch.sigmoid(real).log().mean() + (1 - torch.sigmoid(fake)).log().mean()
    assert losses.eq4_discriminator(real, fake).item() == pytest.approx(-printed.item(), rel=1e-5)
    sure, target = torch.full((5,), 20.0), torch.full((5,), 0.9)
    assert losses.eq4_discriminator(sure, -sure, target, 1 - target) > losses.eq4_discriminator(sure, -sure)


def test_eq5_is_lambda_times_the_mean_squared_error() -> None:
    a, b = normal(3, 4), normal(3, 4, seed=1)
    assert losses.eq5_regulariser(a, b, 10.0).item() == pytest.approx(10 * (a - b).square().mean().item(), rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(scale=st.floats(0.01, 100), seed=st.integers(0, 1000))
def test_eq6_cosine_ignores_scale_and_lies_between_0_and_2(scale: float, seed: int) -> None:
    a, b = normal(3, 2, 4, seed=seed), normal(3, 2, 4, seed=seed + 1)
    value = losses.eq6_similarity(a, b).item()
    assert losses.eq6_similarity(scale * a, b).item() == pytest.approx(value, abs=1e-4)
    assert 0 <= value <= 2


def test_eq6_as_printed_divides_by_the_larger_norm_alone() -> None:
    a, b = torch.tensor([[[3.0, 0.0], [0.0, 0.0]]]), torch.tensor([[[2.0, 0.0], [0.0, 0.0]]])
    assert losses.eq6_similarity(a, b, "paper").item() == pytest.approx(1 - 6 / 3)
    assert losses.eq6_similarity(a, b, "cosine").item() == pytest.approx(0)


def test_eq6_of_a_zero_vector_is_finite() -> None:
    zero, b = torch.zeros(2, 2, 3, requires_grad=True), normal(2, 2, 3)
    loss = losses.eq6_similarity(zero, b)
    loss.backward()
    assert loss.item() == pytest.approx(1)
    assert zero.grad is not None
    assert torch.isfinite(zero.grad).all()


def test_eq7_squared_and_smooth_l1() -> None:
    a, b = torch.zeros(1, 2, 2), torch.full((1, 2, 2), 3.0)
    assert losses.eq7_residue(a, b).item() == pytest.approx(9)
    assert losses.eq7_residue(a, b, "smooth_l1").item() == pytest.approx(2.5)


def test_eq8_judges_the_sum_of_both_heads() -> None:
    target = normal(3, 2, 4)
    latent = normal(3, 2, 4, seed=1)
    assert losses.eq8_consistency(latent, target - latent, target).item() == pytest.approx(0, abs=1e-10)
    zero = torch.zeros_like(latent)
    assert losses.eq8_consistency(latent, zero, target).item() == pytest.approx(
        (latent - target).square().mean().item(), rel=1e-5
    )


def test_eq9_is_the_weighted_sum() -> None:
    parts = torch.tensor(1.0), torch.tensor(2.0), torch.tensor(3.0)
    assert losses.eq9_hypformer(*parts).item() == pytest.approx(6000)
    assert losses.eq9_hypformer(*parts, (1.0, 10.0, 100.0)).item() == pytest.approx(321)
