"""How judges of `hyprepro.gen_hyprl.judges` score candidates, and how the best is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hyprepro.errors import UserError
from hyprepro.gen_hyprl.adaptation_net import Pairs, objective, prompt_pairs
from hyprepro.gen_hyprl.candidates_net import Offered, offer
from hyprepro.policies.forward import StackedPolicies
from hyprepro.stores.prompts import SUCCESS_STATES

if TYPE_CHECKING:
    from hyprepro.domains.scenes import Scene
    from hyprepro.gen_hyprl.adaptation import Start
    from hyprepro.gen_hyprl.judges import Agreement, ChosenAdaptation, Combined, HeldOutError, ShownEnd, WorldModel
    from hyprepro.gen_hyprl.world_net import DynamicsEnsemble
    from hyprepro.stores.prompts import Prompts


@dataclass(frozen=True)
class Case:
    """What a judge looks at.

    Attributes:
        start: What the method generated, with the domain and what was learnt.
        prompts: The prompts, n of them.
        pairs: Their states and actions.
        offered: The candidates.
        refitted: The same candidates fitted to other pairs of the same prompts `[n, K, P]`.
        draws: All randomness.
        said: Why prompts were not judged.
    """

    start: Start
    prompts: Prompts
    pairs: Pairs
    offered: Offered
    refitted: Callable[[Pairs], Tensor]
    draws: torch.Generator
    said: list[str] = field(default_factory=list)

    @property
    def scene(self) -> Scene:
        """What the numbers of an observation stand for (`UserError` where nobody says)."""
        if self.start.domain is None:
            raise UserError(
                "These policies are of no domain, so that no judge knows what their observations mean.",
                where="ChosenAdaptation.judge",
                fix="deploy the method on a domain, or judge by Objective or HeldOutError",
            )
        return self.start.domain.scene()

    @property
    def ends(self) -> Tensor:
        """The post-success states `[n, 3, obs]`."""
        states = torch.from_numpy(self.prompts.tau_hat)
        return states.reshape(len(states), SUCCESS_STATES, -1)

    def say(self, judge: str, rows: Tensor, why: str) -> None:
        """Tell that a judge did not judge the prompts where `rows` `[n]` is true."""
        if bool(rows.any()):
            self.said.append(f"{judge} did not judge {self.prompts.task}: {why}")

    def unjudged(self) -> Tensor:
        """Scores that say nothing."""
        return torch.full(self.offered.policies.shape[:2], torch.nan)


def chosen(settings: ChosenAdaptation, start: Start, prompts: Prompts, draws: torch.Generator) -> Tensor:
    """The policies `[n, P]` that the judge prefers."""
    pairs, noise = prompt_pairs(prompts), draws.get_state()

    def offered(some: Pairs) -> Offered:
        draws.set_state(noise)
        return offer(settings.candidates, start, prompts, some, draws)

    found = offered(pairs)
    if found.policies.shape[1] == 1:
        return found.policies[:, 0]
    case = Case(start, prompts, pairs, found, lambda some: offered(some).policies, draws)
    scores = settings.judge.scores(case)
    silent = scores.isnan().any(dim=1)
    if bool(silent.any()):
        scores = torch.where(silent[:, None], settings.otherwise.scores(case), scores)
        name = type(settings.otherwise).__name__
        start.notes.extend(f"{why}; {name} chose" for why in case.said)
    scores = scores.nan_to_num(nan=torch.inf)
    return found.policies[torch.arange(len(scores)), scores.argmin(dim=1)]


def objectives(case: Case) -> Tensor:
    """The objective of every candidate's own fit `[n, K]`."""
    begun, policies, fits, _ = case.offered
    columns = [
        objective(fit, case.start.layout, before, after, case.pairs)
        for fit, before, after in zip(fits, begun.unbind(1), policies.unbind(1), strict=True)
    ]
    return torch.stack(columns, dim=1)


def held_out_errors(settings: HeldOutError, case: Case) -> Tensor:
    """Mean squared error `[n, K]` on the held-out steps, of the candidates fitted to the others."""
    steps = case.pairs.observations.shape[1]
    count = round(settings.share * steps)
    if min(count, steps - count) < settings.fewest:
        everyone = torch.ones(len(case.prompts), dtype=torch.bool)
        case.say("HeldOutError", everyone, f"a prompt of {steps} steps is too short to hold out {settings.share:g}")
        return case.unjudged()
    is_last = settings.part == "last"
    shown, hidden = (slice(0, -count), slice(-count, None)) if is_last else (slice(count, None), slice(0, count))
    refitted = case.refitted(case.pairs.some(shown))
    asked = case.pairs.some(hidden)
    acted = _acted(case, refitted, asked.observations)
    return (acted - asked.actions[:, None]).square().mean(dim=(2, 3))


def disagreements(settings: Agreement, case: Case) -> Tensor:
    """Mean squared difference `[n, K]` of a candidate's actions to the mean of the others', in many states."""
    states = [case.pairs.observations]
    known = are_told(case.ends)
    states.append(torch.where(known[:, None, None], case.ends, case.pairs.observations[:, -SUCCESS_STATES:]))
    every = torch.cat(states, dim=1)
    if settings.moved:
        by = case.scene.elsewhere(every.shape[:2], settings.moved, case.draws)
        every = torch.cat([every, case.scene.rearranged(every, by)], dim=1)
    acted = _acted(case, case.offered.policies, every)
    count = acted.shape[1]
    others = (acted.sum(dim=1, keepdim=True) - acted) / (count - 1)
    return (acted - others).square().mean(dim=(2, 3))


def imagined_distances(settings: WorldModel, case: Case) -> Tensor:
    """Distance `[n, K]` of the nearest imagined state to the post-success states, and the doubt on the way."""
    model: DynamicsEnsemble | None = case.start.learnt
    if model is None:
        raise UserError(
            "WorldModel has no model of the world: it was not trained with the method.",
            where="ChosenAdaptation.judge",
            fix="train the method by a recipe that binds this judge",
        )
    told = are_told(case.ends)
    case.say("WorldModel", ~told, "the post-success states of a prompt are missing")
    strange = _errors(model, case) > settings.tolerance
    case.say(
        "WorldModel", strange & told, "the model, learnt on the training tasks, does not foretell its prompt's steps"
    )
    scores = _imagined(settings, model, case)
    return torch.where((told & ~strange)[:, None], scores, torch.nan)


def _imagined(settings: WorldModel, model: DynamicsEnsemble, case: Case) -> Tensor:
    """The same for all prompts, `settings.instances` of the task each."""
    scene, policies = case.scene, case.offered.policies
    n, count = policies.shape[:2]
    moved = scene.elsewhere((n, settings.instances), settings.moved, case.draws)
    moved[:, 0] = 0
    first = case.pairs.observations[:, :1].expand(-1, settings.instances, -1)
    states = scene.rearranged(first, moved).repeat_interleave(count, dim=0)
    acting = StackedPolicies(case.start.layout, policies.flatten(0, 1))
    targets = _targets(scene, case.ends, moved).repeat_interleave(count, dim=0)
    spread = model.place_spread
    nearest = torch.full(states.shape[:2], torch.inf)
    total = torch.zeros(states.shape[:2])
    with torch.inference_mode():
        for step in range(settings.horizon):
            inputs = scene.inputs(states, acting.means(states))
            change, doubt = model.change(inputs.flatten(0, 1))
            states = scene.advanced(states, change.view(*nearest.shape, -1))
            total += doubt.view(nearest.shape)
            apart = ((scene.places(states)[:, :, None] - targets) / spread).square().mean(dim=3).sqrt().amin(dim=2)
            nearest = torch.minimum(nearest, apart + settings.doubt * total / (step + 1))
    return nearest.mean(dim=1).view(n, count).clone()


def _targets(scene: Scene, ends: Tensor, moved: Tensor) -> Tensor:
    """Where things are in the post-success states `[n, instances, 3, K]`, moved as the instances are."""
    instances = moved.shape[1]
    states = ends[:, None].expand(-1, instances, -1, -1)
    by = moved[:, :, None].expand(-1, -1, states.shape[2], -1)
    return scene.places(scene.shifted(states, by))


def _errors(model: DynamicsEnsemble, case: Case) -> Tensor:
    """Error of the model on each prompt's own steps `[n]`."""
    scene, (observations, actions) = case.scene, case.pairs
    now, then = observations[:, :-1], observations[:, 1:]
    inputs = scene.inputs(now, actions[:, :-1])
    found = model.errors(inputs.flatten(0, 1), scene.change(now, then).flatten(0, 1))
    return found.view(now.shape[:2]).mean(dim=1)


def by_shown_end(settings: ShownEnd, case: Case) -> Tensor:
    """The other judge's ranks `[n, K]`, those of the kind that a prompt does not ask for behind all others."""
    told, scores = are_told(case.ends), settings.judge.scores(case)
    case.say("ShownEnd", ~told, "the post-success states of a prompt are missing")
    seen, ends = case.scene.places(case.pairs.observations), case.scene.places(case.ends)
    apart = (seen[:, :, None] - ends[:, None]).abs().amax(dim=3).flatten(1).amin(dim=1)
    is_other = (apart <= settings.within)[:, None] != torch.tensor(case.offered.changed)
    ranks = _ranks(scores) + scores.shape[1] * is_other
    return torch.where(told[:, None] & ~scores.isnan(), ranks, torch.nan)


def combined(settings: Combined, case: Case) -> Tensor:
    """Weighted sum `[n, K]` of the judges' ranks or standardised scores; NaN where none judges."""
    weights = settings.weights or (1.0,) * len(settings.judges)
    scale = _ranks if settings.by == "ranks" else _standardised
    total, said = case.unjudged().zero_(), torch.zeros(len(case.prompts), 1)
    for judge, weight in zip(settings.judges, weights, strict=True):
        scores = judge.scores(case)
        judged = ~scores.isnan().any(dim=1, keepdim=True)
        total += torch.where(judged, weight * scale(scores), 0.0)
        said += judged
    return torch.where(said > 0, total, torch.nan)


def _ranks(scores: Tensor) -> Tensor:
    """The place of each candidate, 0 the best; of equal ones the first is better."""
    return scores.argsort(dim=1, stable=True).argsort(dim=1, stable=True).to(scores.dtype)


def _standardised(scores: Tensor) -> Tensor:
    spread = scores.std(dim=1, keepdim=True, correction=0)
    return (scores - scores.mean(dim=1, keepdim=True)) / spread.clamp_min(1e-12)


def are_told(ends: Tensor) -> Tensor:
    """Of which prompts the post-success states are known `[n]`: they are neither empty nor zero nor NaN."""
    return ends.isfinite().all(dim=(1, 2)) & (ends != 0).any(dim=(1, 2))


@torch.no_grad()
def _acted(case: Case, policies: Tensor, observations: Tensor) -> Tensor:
    """Actions `[n, K, b, act]` of candidates `[n, K, P]` in each prompt's own states `[n, b, obs]`."""
    n, count = policies.shape[:2]
    acted = StackedPolicies(case.start.layout, policies.flatten(0, 1)).means(observations.repeat_interleave(count, 0))
    return acted.view(n, count, *acted.shape[1:])
