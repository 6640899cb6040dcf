"""Equations 1 to 9 of the paper as pure functions: tensors in, a scalar out, no state.

Each function says what the paper prints, what the authors' released code computes and which of them is our default.
The mean over samples that the paper writes as (1/N) sum is taken over samples and over the entries of a vector alike
(the paper leaves the norm's scale open; the released code averages over both).

Shapes: parameters X `[N, P]`; latents Z `[N, 2, D]`; embeddings h and v `[N, E]`; logits `[N]`, where F =
    sigmoid(logit).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from hyprepro.gen_hyprl.choices import BehaviorLoss, GeneratorLoss, ResidueLoss, Similarity

EPSILON = 1e-8


def eq1_autoencoder(reconstruction: Tensor, params: Tensor, weight: float = 1e3) -> Tensor:
    """Eq. 1: lambda times the mean squared reconstruction error of policy parameters `[N, P]`; lambda = 1e3 (paper)."""
    return weight * functional.mse_loss(reconstruction, params)


def eq2_behavior(h: Tensor, v: Tensor, similarity: Tensor, kind: BehaviorLoss = "infonce") -> Tensor:
    """Eq. 2: the contrastive loss between trajectory embeddings h and post-success embeddings v, `[N, E]` each.

    Args:
        h: phi(tau^n), one row a prompt.
        v: psi(tau-hat) of the same prompts.
        similarity: W `[E, E]`; the score of prompt i with outcome j is h_i^T W v_j.
        kind: "paper": -mean log(s_ii / sum_j s_ij) as printed. Scores may be negative there, where the logarithm does
            not exist, so the numerator and each summand are clamped to `EPSILON` from below (our choice). "infonce":
            the same with exp(s), which is what Make-An-Agent's code trains and what the paper presumably means; ours.
    """
    scores = h @ similarity @ v.mT
    if kind == "paper":
        positive = scores.clamp_min(EPSILON)
        return -(positive.diagonal() / positive.sum(1)).log().mean()
    return functional.cross_entropy(scores, torch.arange(len(scores), device=scores.device))


def eq3_generator(fake_logit: Tensor, kind: GeneratorLoss = "saturating", target: Tensor | None = None) -> Tensor:
    """Eq. 3: what the generator minimises against the discriminator's logits `[N]` of generated latents.

    Args:
        fake_logit: Logit of F(Z-hat).
        kind: "saturating": mean log(1 - F(Z-hat)) as printed. "nonsaturating": -mean log F(Z-hat), as released; its
            gradient does not vanish where the discriminator wins; ours.
        target: Smoothed labels `[N]` in place of 1 for "nonsaturating" (released: 1 - U(0.01, 0.3)).
    """
    if kind == "saturating":
        return -functional.softplus(fake_logit).mean()  # log(1 - sigmoid(x)) = -softplus(x)
    labels = torch.ones_like(fake_logit) if target is None else target
    return functional.binary_cross_entropy_with_logits(fake_logit, labels)


def eq4_discriminator(
    real_logit: Tensor, fake_logit: Tensor, real_target: Tensor | None = None, fake_target: Tensor | None = None
) -> Tensor:
    """Eq. 4 with its sign turned, so that it is minimised: -mean[log F(Z) + log(1 - F(Z-hat))].

    Args:
        real_logit: Logits `[N]` of autoencoder latents.
        fake_logit: Logits `[N]` of generated latents.
        real_target: Smoothed labels in place of 1 (released: 1 - U(0.01, 0.2)); None is the printed equation.
        fake_target: Smoothed labels in place of 0 (released: U(0.01, 0.2)).
    """
    real = torch.ones_like(real_logit) if real_target is None else real_target
    fake = torch.zeros_like(fake_logit) if fake_target is None else fake_target
    loss = functional.binary_cross_entropy_with_logits
    return loss(real_logit, real) + loss(fake_logit, fake)


def eq5_regulariser(recovered: Tensor, condition: Tensor, weight: float = 1e3) -> Tensor:
    """Eq. 5: lambda_reg times the mean squared error of Q(F(Z-hat)) against tau_e, `[N, C]` both.

    The paper states no lambda_reg; the released code uses 1e3.
    """
    return weight * functional.mse_loss(recovered, condition)


def eq6_similarity(predicted: Tensor, target: Tensor, kind: Similarity = "cosine", epsilon: float = EPSILON) -> Tensor:
    """Eq. 6: mean of 1 - similarity between predicted and true latents `[N, 2, D]`, each flattened to one vector.

    Args:
        predicted: Z_pred, the latent head's output.
        target: Z_gt.
        kind: "paper": dot / max(|Z_pred|, |Z_gt|, eps) as printed, which is not scale-free: at
            best it reaches 1 - |Z_gt|. "cosine": dot / max(|Z_pred| |Z_gt|, eps), as the text around it
            and the released code have it; ours.
        epsilon: The smallest divisor.
    """
    a, b = predicted.flatten(1), target.flatten(1)
    dot = (a * b).sum(1)
    norm_a, norm_b = a.norm(dim=1), b.norm(dim=1)
    divisor = torch.maximum(norm_a, norm_b) if kind == "paper" else norm_a * norm_b
    return (1 - dot / divisor.clamp_min(epsilon)).mean()


def eq7_residue(predicted: Tensor, target: Tensor, kind: ResidueLoss = "squared") -> Tensor:
    """Eq. 7: error of the residue head `[N, 2, D]`; "squared" as printed (ours too), "smooth_l1" as released."""
    if kind == "smooth_l1":
        return functional.smooth_l1_loss(predicted, target)
    return functional.mse_loss(predicted, target)


def eq8_consistency(latent: Tensor, residue: Tensor, target: Tensor) -> Tensor:
    """Eq. 8: squared error of the sum of both heads, Z_pred + residue, against Z_gt `[N, 2, D]`."""
    return functional.mse_loss(latent + residue, target)


def eq9_hypformer(
    similarity: Tensor, residue: Tensor, consistency: Tensor, weights: tuple[float, float, float] = (1e3, 1e3, 1e3)
) -> Tensor:
    """Eq. 9: lambda_sim L_sim + lambda_res L_res + lambda_c L_c; all three weights are 1e3 in paper and release."""
    return weights[0] * similarity + weights[1] * residue + weights[2] * consistency
