"""How generated policies are fitted to their prompts, and the best of several fits; choices in `adaptation`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hyprepro.errors import UserError
from hyprepro.policies.forward import StackedPolicies, fit, forward, standardised, unstandardised
from hyprepro.stores.prompts import interpolated_pairs

if TYPE_CHECKING:
    from hyprepro.gen_hyprl.adaptation import LatentAdaptation, PromptAdaptation, RestartedAdaptation, Start
    from hyprepro.policies.layout import PolicyLayout
    from hyprepro.stores.prompts import Prompts


def steps_on_weights(settings: PromptAdaptation, start: Start, prompts: Prompts, draws: torch.Generator) -> Tensor:
    """Policies `[n, P]` after gradient steps on all weights but the log-std head's."""
    observations, actions = prompt_pairs(prompts)
    mean = observations.mean(dim=1, keepdim=True)
    ones = torch.ones_like(mean)
    weights = standardised(_weights(start.layout, start.params), mean, ones)
    fitted = fit(
        start.layout,
        weights,
        observations - mean,
        actions,
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        input_noise=settings.input_noise,
        draws=draws,
        pull=settings.pull,
    )
    return _joined(start, unstandardised(fitted, mean, ones)) if settings.steps else start.params


@torch.no_grad()
def objective(settings: PromptAdaptation, start: Start, fitted: Tensor, prompts: Prompts) -> Tensor:
    """What `steps_on_weights` lowers, without its noise, for fitted policies `[n, P]`: one number a prompt `[n]`."""
    observations, actions = prompt_pairs(prompts)
    mean = observations.mean(dim=1, keepdim=True)
    ones = torch.ones_like(mean)
    before, after = (standardised(_weights(start.layout, params), mean, ones) for params in (start.params, fitted))
    error = (forward(start.layout, after, observations - mean) - actions).square().mean(dim=(1, 2))
    moved = sum(((after[name] - before[name]).square().flatten(1).sum(1) for name in after), torch.zeros(()))
    return error + settings.pull * moved


def steps_on_latents(settings: LatentAdaptation, start: Start, prompts: Prompts) -> Tensor:
    """Policies `[n, P]` decoded from latents after gradient steps through the decoder."""
    if start.latents is None or start.decode is None:
        raise UserError(
            "LatentAdaptation needs a method whose policies are decoded from latents.",
            where="adaptation = @LatentAdaptation()",
            fix="use @PromptAdaptation(), which fits the weights themselves",
        )
    observations, actions = prompt_pairs(prompts)
    latents = start.latents.clone().requires_grad_()
    optimiser = torch.optim.Adam([latents], lr=settings.learning_rate)
    for _ in range(settings.steps):
        acted = forward(start.layout, _weights(start.layout, start.decode(latents)), observations)
        loss = (acted - actions).square().mean(dim=(1, 2)).sum()
        loss = loss + settings.pull * (latents - start.latents).square().sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.no_grad():
        return start.decode(latents.detach())


@torch.no_grad()
def agreeing(start: Start, prompts: Prompts, temperature: float) -> Tensor:
    """Of the policy and its candidates, the one that agrees best with each prompt, or their weighted mean `[n, P]`."""
    if start.candidates is None:
        raise UserError(
            "AgreementChoice needs a method that draws several candidates.",
            where="adaptation = @AgreementChoice()",
            fix="use it with GenHypRL",
        )
    observations, actions = prompt_pairs(prompts)
    offered = torch.cat([start.params[:, None], start.candidates], dim=1)
    errors = torch.stack(
        [
            (forward(start.layout, _weights(start.layout, params), observations) - actions).square().mean(dim=(1, 2))
            for params in offered.unbind(1)
        ],
        dim=1,
    )
    if temperature == 0:
        return offered[torch.arange(len(offered)), errors.argmin(1)]
    shares = torch.softmax(-errors / temperature, dim=1)
    return torch.einsum("nk,nkp->np", shares, offered)


def prompt_pairs(prompts: Prompts) -> tuple[Tensor, Tensor]:
    """The prompt's states `[n, 58, 39]` and actions `[n, 58, 4]`, clipped to what a policy can do."""
    observations, actions = interpolated_pairs(prompts)
    return torch.from_numpy(observations), torch.from_numpy(actions).clamp(-1.0, 1.0)


def _weights(layout: PolicyLayout, params: Tensor) -> dict[str, Tensor]:
    return {name: part for name, part in layout.split(params).items() if not name.startswith("log_std")}


def _joined(start: Start, weights: dict[str, Tensor]) -> Tensor:
    """Flat parameters `[n, P]`; the log-std head stays the generated one."""
    parts = start.layout.split(start.params) | weights
    return torch.cat([parts[spec.name].flatten(1) for spec in start.layout.layers], dim=1)


def best_of_starts(settings: RestartedAdaptation, start: Start, prompts: Prompts, draws: torch.Generator) -> Tensor:
    """Policies `[n, P]`: of the fits from all starts, the one with the lowest objective on each prompt."""
    noise = draws.get_state()
    fits, values = [], []
    for name in settings.starts:
        begun = replace(start, params=_start(name, start, prompts))
        draws.set_state(noise)
        fits.append(steps_on_weights(settings.adaptation, begun, prompts, draws))
        values.append(objective(settings.adaptation, begun, fits[-1], prompts))
    best = torch.stack(values, dim=1).argmin(dim=1)
    return torch.stack(fits, dim=1)[torch.arange(len(best)), best]


def _start(name: str, start: Start, prompts: Prompts) -> Tensor:
    if name == "generated":
        return start.params
    if start.library is None:
        raise UserError(
            f"RestartedAdaptation's start {name!r} needs a method that generates policies for training prompts.",
            where="RestartedAdaptation.starts",
            fix="-b \"RestartedAdaptation.starts=('generated',)\", or use it with GenHypRL, which has them",
        )
    if name == "mean":
        return start.library.mean(dim=0).expand_as(start.params).clone()
    return start.library[_disagreements(start, prompts).argmin(dim=0)]


def _disagreements(start: Start, prompts: Prompts) -> Tensor:
    """Mean squared difference `[M, n]` between the actions of the library's policies and those of the prompts."""
    assert start.library is not None
    observations, actions = prompt_pairs(prompts)
    states, wanted = observations.flatten(0, 1), actions.flatten(0, 1)
    errors = []
    with torch.no_grad():
        for policies in torch.split(start.library, 8):  # bounds the memory: 8 policies on all states of all prompts
            acted = StackedPolicies(start.layout, policies).means(states)
            errors.append((acted - wanted).square().mean(dim=2).view(len(policies), len(observations), -1).mean(dim=2))
    return torch.cat(errors)
