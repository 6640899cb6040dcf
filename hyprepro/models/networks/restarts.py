"""How the best of several fits to a prompt is found; choices in `hyprepro.models.restarts`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hyprepro.errors import UserError
from hyprepro.models.networks.adaptation import objective, prompt_pairs, steps_on_weights
from hyprepro.policies.stacked import StackedPolicies

if TYPE_CHECKING:
    from hyprepro.models.adaptation import Start
    from hyprepro.models.restarts import RestartedAdaptation
    from hyprepro.stores.prompts import Prompts


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
