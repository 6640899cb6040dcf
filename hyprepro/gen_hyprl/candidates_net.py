"""How candidates are made: the fits of all prompts from all starts as one stacked optimisation a kind of fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from hyprepro.errors import UserError
from hyprepro.gen_hyprl.adaptation_net import Pairs, fitted_to, starting
from hyprepro.gen_hyprl.candidates import CandidateSource, Distilled, Draws, Fitted, FittedSource
from hyprepro.policies.forward import StackedPolicies

if TYPE_CHECKING:
    from hyprepro.domains.scenes import Scene
    from hyprepro.gen_hyprl.adaptation import PromptAdaptation, Start
    from hyprepro.policies.forward import Changing
    from hyprepro.policies.layout import PolicyLayout
    from hyprepro.stores.prompts import Prompts


class Offered(NamedTuple):
    """The candidates of some prompts.

    Attributes:
        begun: Where each started `[n, K, P]`.
        policies: What became of it `[n, K, P]`.
        fits: The settings of each one's fit, K of them.
        changed: Which were fitted to changed scenes.
    """

    begun: Tensor
    policies: Tensor
    fits: tuple[PromptAdaptation, ...]
    changed: tuple[bool, ...]


def offer(
    sources: Sequence[CandidateSource], start: Start, prompts: Prompts, pairs: Pairs, draws: torch.Generator
) -> Offered:
    """All candidates, fitted to pairs of the prompts.

    Args:
        sources: What the candidates are.
        start: What the method generated.
        prompts: The prompts, by which "agreeing" is told.
        pairs: What is fitted to: all of the prompts, or a part.
        draws: All randomness; it is the same for the fits of one kind.

    Raises:
        UserError: The method has no library or draws, or policies of another layout.
    """
    _check_layout(start)
    wanted = [part for source in sources for part in (source.of if isinstance(source, Distilled) else (source,))]
    made: dict[CandidateSource, tuple[Tensor, Tensor]] = {}
    noise = draws.get_state()
    for kind in _kinds(wanted):
        draws.set_state(noise)
        made |= _fitted(kind, start, prompts, pairs, draws)
    for source in sources:
        if isinstance(source, Distilled):
            draws.set_state(noise)
            made[source] = _distilled(source, [made[each] for each in source.of], start, pairs, draws)
    begun, policies = (torch.cat([made[source][part] for source in sources], dim=1) for part in (0, 1))
    each = [source for source in sources for _ in range(made[source][0].shape[1])]
    return Offered(begun, policies, tuple(one.fit for one in each), tuple(one.is_changed for one in each))


def _kinds(sources: Sequence[CandidateSource]) -> list[list[FittedSource]]:
    """Fits that differ by their start alone, together; each once."""
    kinds: dict[object, list[FittedSource]] = {}
    for source in dict.fromkeys(sources):
        if isinstance(source, FittedSource):
            kinds.setdefault((source.fit, source.symmetries), []).append(source)
    return list(kinds.values())


def _fitted(
    kind: Sequence[FittedSource], start: Start, prompts: Prompts, pairs: Pairs, draws: torch.Generator
) -> dict[CandidateSource, tuple[Tensor, Tensor]]:
    """Of fits of one kind the starts and the fitted policies, `[n, k, P]` each, in one optimisation."""
    begun = [_begun(source, start, prompts, draws) for source in kind]
    counts = [part.shape[1] for part in begun]
    flat = torch.cat(begun, dim=1).transpose(0, 1).flatten(0, 1)
    changing = _changing(kind[0], start, draws)
    fitted = fitted_to(kind[0].fit, start.layout, flat, pairs.repeated(sum(counts)), draws, changing)
    parts = torch.split(fitted.view(sum(counts), *start.params.shape).transpose(0, 1), counts, dim=1)
    return {source: (before, after) for source, before, after in zip(kind, begun, parts, strict=True)}


def _begun(source: FittedSource, start: Start, prompts: Prompts, draws: torch.Generator) -> Tensor:
    """Where fits start `[n, k, P]`."""
    if isinstance(source, Draws):
        if start.candidates is None:
            raise UserError(
                "Draws needs a method that draws several policies for a prompt.",
                where="ChosenAdaptation.candidates",
                fix="use it with GenHypRL, or Fitted(start='generated') in its place",
            )
        return start.candidates
    assert isinstance(source, Fitted)
    if source.start == "random":
        return random_weights(start.layout, len(start.params), draws)[:, None]
    return starting(source.start, start, prompts, "Fitted.start")[:, None]


def _changing(source: FittedSource, start: Start, draws: torch.Generator) -> Changing | None:
    """All of a fit's symmetries, one after the other."""
    if not source.symmetries:
        return None
    scene = _scene(start)

    def changed(observations: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        for name, amount in source.symmetries:
            observations, actions = scene.changed(name, amount, observations, actions, draws)
        return observations, actions

    return changed


def _distilled(
    source: Distilled, made: Sequence[tuple[Tensor, Tensor]], start: Start, pairs: Pairs, draws: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The mean weights of the fits, and the policies that act as they do in the mean, `[n, 1, P]` each."""
    teachers = torch.cat([fitted for _, fitted in made], dim=1)
    begun = teachers.mean(dim=1)
    with torch.no_grad():
        acted = [StackedPolicies(start.layout, each).means(pairs.observations) for each in teachers.unbind(1)]
    targets = pairs._replace(actions=torch.stack(acted).mean(dim=0))
    return begun[:, None], fitted_to(source.fit, start.layout, begun, targets, draws)[:, None]


def random_weights(layout: PolicyLayout, count: int, draws: torch.Generator) -> Tensor:
    """Policies `[n, P]`, uniform within +-1/sqrt(inputs) as torch's linear layers start; the log-std head is zero."""
    parts, inputs = [], 1
    for spec in layout.layers:
        inputs = spec.shape[1] if spec.name.endswith("weight") else inputs
        bound = 0.0 if spec.name.startswith("log_std") else inputs**-0.5
        parts.append(bound * (2 * torch.rand((count, spec.size), generator=draws) - 1))
    return torch.cat(parts, dim=1)


def _scene(start: Start) -> Scene:
    if start.domain is None:
        raise UserError(
            "These policies are of no domain, so that their scene cannot be changed.",
            where="ChosenAdaptation.candidates",
            fix="deploy the method on a domain, or leave out the symmetries",
        )
    return start.domain.scene()


def _check_layout(start: Start) -> None:
    """All that fits start from has the layout's size (`UserError` if not)."""
    for name, part in (("params", start.params), ("library", start.library), ("candidates", start.candidates)):
        if part is not None and part.shape[-1] != start.layout.size:
            raise UserError(
                f"The {name} of the method have {part.shape[-1]} weights a policy, and its layout has "
                f"{start.layout.size}.",
                where=f"Start.{name}",
                fix="choose among policies of one layout",
            )
