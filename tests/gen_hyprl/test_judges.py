"""Candidates and judges: what is fitted, which fit is deployed, and what is said where a judge cannot judge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.domains.metaworld.scene import MetaWorldScene
from hyprepro.engine.cache import ArtifactCache
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.adaptation import GatedAdaptation, PromptAdaptation, RestartedAdaptation, Start
from hyprepro.gen_hyprl.candidates import CandidateSource, Distilled, Draws, Fitted
from hyprepro.gen_hyprl.judges import (
    Agreement,
    ChosenAdaptation,
    Combined,
    HeldOutError,
    Judge,
    Objective,
    ShownEnd,
    WorldModel,
)
from hyprepro.gen_hyprl.world import EnsembleDynamics
from hyprepro.methods.retrieval import AgreementRetrieval, MeanPolicy
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores.policy_store import PolicyStore
from hyprepro.stores.prompts import Prompts, read_prompts
from hyprepro.stores.trajectory_store import TrajectoryStore
from tests.conftest import TinyStores
from tests.gen_hyprl.test_adaptation import errors
from tests.gen_hyprl.test_stages import make
from tests.methods.shared import params_of, prompted, prompts_of

FIT, NONE = PromptAdaptation(steps=8), PromptAdaptation(steps=0)
UNTOUCHED = (Draws(fit=NONE),)
"""Candidates that are what they were: those that a start has."""


@pytest.fixture(scope="module")
def prompts(tiny_stores: TinyStores) -> Prompts:
    with TrajectoryStore.open(tiny_stores.trajectories) as store:
        return read_prompts(store, "reach", "test")


@pytest.fixture(scope="module")
def start(tiny_stores: TinyStores, prompts: Prompts) -> Start:
    """The policies that recorded the prompts, with a library of others."""
    with PolicyStore.open(tiny_stores.policies) as store:
        own, library = store.read("reach", prompts.policy_rows), store.read("door-open", np.arange(6))
    found = Start(METAWORLD_LAYOUT, torch.from_numpy(own), library=torch.from_numpy(library))
    return replace(found, domain=tiny_stores.domain, notes=[])


def chosen(
    start: Start, prompts: Prompts, judge: Judge | None = None, candidates: tuple[CandidateSource, ...] = UNTOUCHED
) -> Tensor:
    adaptation = ChosenAdaptation(candidates=candidates, judge=judge or Objective())
    return adaptation.adapt(start, prompts, torch.Generator().manual_seed(0))


def constant(*action: float) -> Tensor:
    """A policy that does the same everywhere `[P]`."""
    parts = METAWORLD_LAYOUT.split(torch.zeros(1, METAWORLD_LAYOUT.size))
    parts["mean.bias"][:] = torch.tensor(action)
    return torch.cat([parts[spec.name].flatten(1) for spec in METAWORLD_LAYOUT.layers], dim=1)[0]


def offering(start: Start, prompts: Prompts, *policies: Tensor) -> Start:
    """The start with the same candidates for every prompt."""
    return replace(start, candidates=torch.stack(policies).expand(len(prompts), -1, -1).clone(), notes=[])


def test_by_its_own_objective_the_choice_is_that_of_the_restarted_fit(start: Start, prompts: Prompts) -> None:
    plain = (Fitted(fit=FIT), Fitted(start="agreeing", fit=FIT), Fitted(start="mean", fit=FIT))
    restarted = RestartedAdaptation(adaptation=FIT).adapt(start, prompts, torch.Generator().manual_seed(0))
    found = chosen(start, prompts, candidates=plain)
    assert np.abs(errors(found, prompts) - errors(restarted, prompts)).max() < 0.01, "but for the noise of the fits"


@pytest.mark.parametrize(
    "source",
    [
        Fitted(fit=FIT, shift=0.1),
        Fitted(fit=FIT, turn=0.3),
        Fitted(fit=FIT, mirror=0.2),
        Fitted(fit=FIT, start="random", shift=0.1),
        Distilled(of=(Fitted(fit=FIT), Fitted(start="mean", fit=FIT)), fit=FIT),
    ],
    ids=lambda source: f"{type(source).__name__}-{getattr(source, 'start', '')}",
)
def test_every_kind_of_candidate_is_fitted(source: CandidateSource, start: Start, prompts: Prompts) -> None:
    found = chosen(start, prompts, candidates=(source,))
    assert found.shape == start.params.shape
    assert found.isfinite().all()
    assert not torch.equal(found, start.params)
    assert torch.equal(found, chosen(start, prompts, candidates=(source,))), "all chance comes from the draws"


def test_a_fit_is_the_same_alone_and_beside_others_of_another_kind(start: Start, prompts: Prompts) -> None:
    alone = chosen(start, prompts, candidates=(Fitted(fit=FIT),))
    beside = chosen(start, prompts, candidates=(Fitted(fit=FIT), Fitted(fit=NONE, start="random", shift=0.1)))
    assert torch.equal(alone, beside), "random weights are not preferred, and change nothing"


def test_what_was_held_out_tells_who_knew_it(start: Start, prompts: Prompts) -> None:
    offered = replace(start, candidates=torch.stack([-start.params, start.params], dim=1))
    assert torch.equal(chosen(offered, prompts, HeldOutError()), start.params)


def test_the_one_that_others_agree_with_is_preferred(start: Start, prompts: Prompts) -> None:
    offered = offering(start, prompts, constant(1, 0, 0, 0), constant(0.1, 0, 0, 0), constant(0, 0, 0, 0))
    for judge in (Agreement(), Agreement(moved=0.0)):
        assert torch.equal(chosen(offered, prompts, judge)[0], constant(0.1, 0, 0, 0))


class Drift:
    """A model of the world in which the hand goes where the action says, a hundredth at a time, and nothing else."""

    place_spread = torch.ones(9)

    def __init__(self, error: float = 0.0) -> None:
        self.error = error

    def change(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The action is the last of the inputs."""
        change = torch.zeros(len(inputs), MetaWorldScene.change_size)
        change[:, :3] = inputs[:, -4:-1] / 100
        return change, torch.zeros(len(inputs))

    def errors(self, inputs: Tensor, changes: Tensor) -> Tensor:
        """The same everywhere."""
        return torch.full((len(inputs),), self.error)


@pytest.fixture(scope="module")
def leftward(prompts: Prompts) -> Prompts:
    """Prompts that end with the hand 0.3 m to the left and all else where it was."""
    ends = np.repeat(prompts.states[:, :1], 3, axis=1).copy()
    ends[:, :, 0] -= 0.3
    return replace(prompts, tau_hat=ends.reshape(len(prompts), -1))


def test_a_candidate_that_gets_there_in_the_model_is_preferred(start: Start, leftward: Prompts) -> None:
    offered = offering(start, leftward, constant(1, 0, 0, 0), constant(-1, 0, 0, 0), constant(0, -1, 0, 0))
    learnt = replace(offered, learnt=Drift())
    for judge in (WorldModel(), Combined(judges=(WorldModel(), Objective()), weights=(1.0, 0.0), by="z")):
        assert torch.equal(chosen(learnt, leftward, judge)[0], constant(-1, 0, 0, 0))
    assert not learnt.notes


def test_a_prompt_that_shows_its_end_prefers_fits_to_changed_scenes(start: Start, leftward: Prompts) -> None:
    plain, changed = Fitted(fit=FIT), Fitted(fit=FIT, shift=0.1)
    shown = replace(leftward, tau_hat=leftward.states[:, -3:].reshape(len(leftward), -1).copy())
    for prompts, wanted in ((shown, changed), (leftward, plain)):
        found = chosen(start, prompts, ShownEnd(), (plain, changed))
        assert torch.equal(found, chosen(start, prompts, candidates=(wanted,)))
    both = chosen(start, shown, ShownEnd(), (plain, Fitted(fit=FIT, start="mean")))
    assert both.shape == start.params.shape, "where there is no fit of that kind, the others are chosen from"


@pytest.mark.parametrize(
    ("judge", "change", "says"),
    [
        (ShownEnd(), {"tau_hat": np.nan}, "post-success states of a prompt are missing"),
        (HeldOutError(share=0.01), {}, "58 steps is too short to hold out 0.01"),
        (WorldModel(), {"tau_hat": 0.0}, "post-success states of a prompt are missing"),
        (WorldModel(tolerance=0.5), {}, "does not foretell its prompt's steps"),
    ],
)
def test_what_cannot_be_judged_is_judged_otherwise_and_said(
    judge: Judge, change: dict[str, float], says: str, start: Start, leftward: Prompts
) -> None:
    known = replace(start, candidates=torch.stack([-start.params, start.params], dim=1), learnt=Drift(0.9), notes=[])
    shown = replace(leftward, **{name: np.full_like(leftward.tau_hat, value) for name, value in change.items()})
    assert torch.equal(chosen(known, shown, judge), start.params), "the objective knows better"
    (note,) = known.notes
    assert says in note
    assert note.endswith("Objective chose")


def test_several_judges_leave_out_those_that_cannot_judge(start: Start, prompts: Prompts) -> None:
    known = replace(start, candidates=torch.stack([-start.params, start.params], dim=1), notes=[])
    judge = Combined(judges=(HeldOutError(share=0.01), Objective()))
    assert torch.equal(chosen(known, prompts, judge), start.params)
    assert not known.notes, "nothing fell back: another judge judged"


def test_post_success_states_that_are_missing_are_no_matter_to_others(start: Start, prompts: Prompts) -> None:
    without = replace(prompts, tau_hat=np.full_like(prompts.tau_hat, np.nan))
    offered = offering(start, prompts, constant(1, 0, 0, 0), constant(0.1, 0, 0, 0), constant(0, 0, 0, 0))
    assert torch.equal(chosen(offered, without, Agreement())[0], constant(0.1, 0, 0, 0))


@pytest.mark.parametrize("change", ["library", "candidates"])
def test_candidates_of_another_layout_are_refused(change: str, start: Start, prompts: Prompts) -> None:
    with pytest.raises(UserError, match=f"The {change} of the method have 7 weights"):
        chosen(replace(start, **{change: torch.zeros(len(prompts), 7)}), prompts)


def test_what_a_method_does_not_have_is_asked_for_clearly(start: Start, prompts: Prompts) -> None:
    bare = replace(start, library=None)
    for source in (Fitted(start="mean"), Draws()):
        with pytest.raises(UserError, match="needs a method"):
            chosen(bare, prompts, candidates=(source, Fitted()))
    with pytest.raises(UserError, match="was not trained with the method"):
        chosen(offering(start, prompts, constant(0, 0, 0, 0), constant(1, 0, 0, 0)), prompts, WorldModel())


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"candidates": (Fitted(shift=0.1),)}, "cannot be changed by 'shift'"),
        ({"candidates": (Distilled(of=(Fitted(), Fitted(turn=1.0))),)}, "cannot be changed by 'turn'"),
        ({"judge": WorldModel()}, "does not say what the numbers of its observations stand for"),
        ({"judge": Combined(judges=(Objective(), Agreement()))}, "does not say what of an observation can be moved"),
    ],
)
def test_a_domain_that_cannot_serve_is_refused_before_any_work(part: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        GatedAdaptation(adaptation=ChosenAdaptation(**part)).require(CheetahVel())


def test_weights_must_be_those_of_the_judges() -> None:
    with pytest.raises(UserError, match="2 judges have 1 weights"):
        Combined(judges=(Objective(), Agreement()), weights=(1.0,)).check()
    with pytest.raises(ValidationError):
        ChosenAdaptation(candidates=())


def test_only_what_is_looked_at_is_asked_for() -> None:
    assert not ChosenAdaptation(candidates=(Fitted(shift=0.1),)).needs_library
    assert ChosenAdaptation(candidates=(Fitted(), Fitted(start="mean"))).needs_library
    assert ChosenAdaptation(candidates=(Draws(),)).needs_candidates
    assert ChosenAdaptation(candidates=(Distilled(),)).needs_library


@pytest.mark.parametrize("method", [MeanPolicy(), AgreementRetrieval()])
def test_a_model_of_the_world_is_trained_and_kept_with_a_method(
    method: MeanPolicy | AgreementRetrieval, tiny_stores: TinyStores, tmp_path: Path
) -> None:
    data = tiny_stores.domain.data()
    judge = WorldModel(dynamics=EnsembleDynamics(steps=20, hidden=(16,)), horizon=5, tolerance=1e6)
    adaptation = ChosenAdaptation(candidates=(Fitted(fit=FIT), Fitted(fit=FIT, shift=0.1)), judge=judge)
    method = method.model_copy(update={"adaptation": GatedAdaptation(adaptation=adaptation, tolerance=0.0)})
    stage = method.deployable(data.for_training, 0)
    assert stage is not None
    trained, prompts = stage.load(make(stage, ArtifactCache(tmp_path))), prompts_of(data, "reach")
    controllers = method.deploy(trained, data, prompted(prompts), 0)
    before = method.model_copy(update={"adaptation": None}).deploy(None, data, prompted(prompts), 0)
    assert (
        errors(torch.from_numpy(params_of(controllers)), prompts) < errors(torch.from_numpy(params_of(before)), prompts)
    ).all()


def test_a_method_that_learns_nothing_more_has_the_stage_that_it_had(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data()
    assert MeanPolicy(adaptation=GatedAdaptation()).deployable(data, 0) is None
