"""How generated policies are fitted to their prompts, and the best of several fits; choices in `adaptation`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from hyprepro.errors import UserError
from hyprepro.policies.forward import StackedPolicies, fit, forward, standardised, unstandardised
from hyprepro.stores.prompts import interpolated_pairs

if TYPE_CHECKING:
    from hyprepro.gen_hyprl.adaptation import LatentAdaptation, PromptAdaptation, RestartedAdaptation, Start
    from hyprepro.policies.forward import Changing
    from hyprepro.policies.layout import PolicyLayout
    from hyprepro.stores.prompts import Prompts


class Pairs(NamedTuple):
    """States `[n, b, obs]` of prompts, and the actions there `[n, b, act]`, clipped to what a policy can do."""

    observations: Tensor
    actions: Tensor

    def some(self, steps: slice) -> Pairs:
        """Those of some steps."""
        return Pairs(self.observations[:, steps], self.actions[:, steps])

    def repeated(self, times: int) -> Pairs:
        """All prompts so many times, one round after the other."""
        return Pairs(*(part.repeat(times, 1, 1) for part in self))


def steps_on_weights(settings: PromptAdaptation, start: Start, prompts: Prompts, draws: torch.Generator) -> Tensor:
    """Policies `[n, P]` after gradient steps on all weights but the log-std head's."""
    return fitted_to(settings, start.layout, start.params, prompt_pairs(prompts), draws)


def fitted_to(
    settings: PromptAdaptation,
    layout: PolicyLayout,
    params: Tensor,
    pairs: Pairs,
    draws: torch.Generator,
    changing: Changing | None = None,
) -> Tensor:
    """The fit of policies `[n, P]`, each to its own pairs; `changing` gives other ones in their place, each step."""
    if not settings.steps:
        return params
    mean = pairs.observations.mean(dim=1, keepdim=True)
    ones = torch.ones_like(mean)

    def centred(observations: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        assert changing is not None
        seen, wanted = changing(observations + mean, actions)
        return seen - mean, wanted

    fitted = fit(
        layout,
        standardised(_weights(layout, params), mean, ones),
        pairs.observations - mean,
        pairs.actions,
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        input_noise=settings.input_noise,
        draws=draws,
        pull=settings.pull,
        changing=None if changing is None else centred,
    )
    return _joined(layout, params, unstandardised(fitted, mean, ones))


@torch.no_grad()
def objective(settings: PromptAdaptation, layout: PolicyLayout, begun: Tensor, fitted: Tensor, pairs: Pairs) -> Tensor:
    """What `fitted_to` lowers, without its noise, from policies `[n, P]` to `[n, P]`: one number a prompt `[n]`."""
    mean = pairs.observations.mean(dim=1, keepdim=True)
    ones = torch.ones_like(mean)
    before, after = (standardised(_weights(layout, params), mean, ones) for params in (begun, fitted))
    error = (forward(layout, after, pairs.observations - mean) - pairs.actions).square().mean(dim=(1, 2))
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


def prompt_pairs(prompts: Prompts) -> Pairs:
    """The prompt's states `[n, 58, 39]` and actions `[n, 58, 4]`."""
    observations, actions = interpolated_pairs(prompts)
    return Pairs(torch.from_numpy(observations), torch.from_numpy(actions).clamp(-1.0, 1.0))


def _weights(layout: PolicyLayout, params: Tensor) -> dict[str, Tensor]:
    return {name: part for name, part in layout.split(params).items() if not name.startswith("log_std")}


def _joined(layout: PolicyLayout, params: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """Flat parameters `[n, P]`; the log-std head stays that of `params`."""
    parts = layout.split(params) | weights
    return torch.cat([parts[spec.name].flatten(1) for spec in layout.layers], dim=1)


def best_of_starts(settings: RestartedAdaptation, start: Start, prompts: Prompts, draws: torch.Generator) -> Tensor:
    """Policies `[n, P]`: of the fits from all starts, the one with the lowest objective on each prompt."""
    noise, pairs = draws.get_state(), prompt_pairs(prompts)
    fits, values = [], []
    for name in settings.starts:
        begun = starting(name, start, prompts, "RestartedAdaptation.starts")
        draws.set_state(noise)
        fits.append(fitted_to(settings.adaptation, start.layout, begun, pairs, draws))
        values.append(objective(settings.adaptation, start.layout, begun, fits[-1], pairs))
    best = torch.stack(values, dim=1).argmin(dim=1)
    return torch.stack(fits, dim=1)[torch.arange(len(best)), best]


def starting(name: str, start: Start, prompts: Prompts, where: str) -> Tensor:
    """The policies `[n, P]` that fits start from: the generated ones, or of the library the agreeing or the mean.

    Raises:
        UserError: The method has no library; `where` names the setting that asks for it.
    """
    if name == "generated":
        return start.params
    if start.library is None:
        component, _, field = where.partition(".")
        raise UserError(
            f"{component}'s start {name!r} needs a method that generates policies for training prompts.",
            where=where,
            fix=f"-b \"{where}={'(' if field == 'starts' else ''}'generated'{',)' if field == 'starts' else ''}\", "
            "or use it with GenHypRL, which has them",
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
