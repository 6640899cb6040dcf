"""What a dry run says of fits to prompts, which no stage of their own makes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.plan import ENOUGH, speed
from hyprepro.engine.stage import Stage
from hyprepro.experiments.fits import STEP_SECONDS, WARPED_STEP_SECONDS, fitting_seconds, latent_step_seconds
from hyprepro.experiments.protocols import PaperProtocol, StrictProtocol
from hyprepro.experiments.rollouts import Rollouts
from hyprepro.experiments.run import planned_stages
from hyprepro.gen_hyprl.adaptation import (
    Adaptation,
    AgreementChoice,
    GatedAdaptation,
    LatentAdaptation,
    PromptAdaptation,
    RestartedAdaptation,
)
from hyprepro.gen_hyprl.autoencoder import LinearAutoencoder
from hyprepro.gen_hyprl.candidates import Distilled, Draws, Fitted
from hyprepro.gen_hyprl.judges import ChosenAdaptation
from hyprepro.gen_hyprl.warping import WarpedAdaptation
from hyprepro.methods.base import Method
from hyprepro.methods.ceilings import Expert
from hyprepro.methods.cloning import PromptCloning
from hyprepro.methods.gen_hyprl import GenHypRL
from hyprepro.methods.retrieval import Retrieval
from tests.cheetah_stores import CheetahStores
from tests.conftest import TinyStores

PROMPTS, UNSEEN = 7, "reach-wall"  # a task that the stores do not have


def evaluations(stores: TinyStores, method: Method, task: str = UNSEEN) -> list[Stage]:
    data = stores.domain.data()
    protocols = (PaperProtocol(), StrictProtocol())
    return [Rollouts.of(method, data, task=task, split="unseen", protocol=each, prompts=PROMPTS) for each in protocols]


def steps_of(stages: Sequence[Stage]) -> float:
    """Steps of a fit to one prompt."""
    return sum(fitting_seconds(stages).values()) / PROMPTS / STEP_SECONDS


def test_the_first_of_the_protocols_fits_for_all(tiny_stores: TinyStores) -> None:
    stages = evaluations(tiny_stores, Retrieval(adaptation=PromptAdaptation(steps=50)))
    assert fitting_seconds(stages) == {stages[0].key: pytest.approx(50 * STEP_SECONDS * PROMPTS)}
    assert fitting_seconds(stages[1:]) == {stages[1].key: pytest.approx(50 * STEP_SECONDS * PROMPTS)}


@pytest.mark.parametrize(
    ("adaptation", "steps"),
    [
        (None, 0),
        (AgreementChoice(), 0),
        (RestartedAdaptation(adaptation=PromptAdaptation(steps=50)), 150),
        (WarpedAdaptation(fit=PromptAdaptation(steps=40)), 40 * WARPED_STEP_SECONDS / STEP_SECONDS),
        (
            ChosenAdaptation(
                candidates=(
                    Fitted(fit=PromptAdaptation(steps=10)),
                    Draws(fit=PromptAdaptation(steps=20)),
                    Distilled(of=(Fitted(fit=PromptAdaptation(steps=3)),) * 2, fit=PromptAdaptation(steps=5)),
                )
            ),
            10 + 8 * 20 + 11,
        ),
    ],
    ids=lambda each: type(each).__name__,
)
def test_fits_count_by_their_steps(tiny_stores: TinyStores, adaptation: Adaptation | None, steps: float) -> None:
    assert steps_of(evaluations(tiny_stores, GenHypRL(adaptation=adaptation))) == pytest.approx(steps)
    gated = None if adaptation is None else GatedAdaptation(adaptation=adaptation)
    assert steps_of(evaluations(tiny_stores, GenHypRL(adaptation=gated))) == pytest.approx(steps)


def test_a_gate_leaves_trained_tasks_alone(tiny_stores: TinyStores) -> None:
    fit = PromptAdaptation(steps=50)
    gated = GatedAdaptation(adaptation=fit)
    assert steps_of(evaluations(tiny_stores, GenHypRL(adaptation=gated), "door-open")) == 0
    assert steps_of(evaluations(tiny_stores, GenHypRL(adaptation=fit), "door-open")) == pytest.approx(50)


def test_cloning_on_a_prompt_is_a_fit_and_an_expert_none(tiny_stores: TinyStores) -> None:
    assert steps_of(evaluations(tiny_stores, PromptCloning(steps=30))) == pytest.approx(30)
    assert steps_of(evaluations(tiny_stores, Expert())) == 0


def test_tasks_that_are_told_by_numbers_have_nothing_to_fit_to(cheetah_stores: CheetahStores) -> None:
    data = cheetah_stores.domain.data()
    task = data.domain.tested[0]
    stage = Rollouts.of(
        Retrieval(adaptation=PromptAdaptation()), data, task=task, split="test", protocol=StrictProtocol()
    )
    assert fitting_seconds([stage]) == {}


def test_a_plan_has_them(tiny_stores: TinyStores, tmp_path: Path) -> None:
    stages = evaluations(tiny_stores, Retrieval(adaptation=PromptAdaptation(steps=10_000)))[:1]
    plain = evaluations(tiny_stores, Retrieval())[:1]
    cache = ArtifactCache(tmp_path)
    (one,), (other,) = (planned_stages(each, cache)[-1:] for each in (stages, plain))
    assert one.seconds - other.seconds == pytest.approx(10_000 * STEP_SECONDS * PROMPTS * speed())


def test_a_step_on_latents_counts_by_their_size(tiny_stores: TinyStores) -> None:
    found = []
    for size in (64, 1024):
        method = GenHypRL(autoencoder=LinearAutoencoder(latent_size=size), adaptation=LatentAdaptation(steps=10))
        found.append(steps_of(evaluations(tiny_stores, method)))
        assert found[-1] == pytest.approx(10 * latent_step_seconds(size) / STEP_SECONDS)
    assert 30 < found[0] < 45, "three or four plain steps each"
    assert found[1] > 3 * found[0]


def test_rollouts_that_may_have_fitted_set_no_pace(tiny_stores: TinyStores, tmp_path: Path) -> None:
    """A plan would count their fits once more."""
    cache, fit = ArtifactCache(tmp_path), PromptAdaptation(steps=100)

    def finished(method: Method, seconds: float) -> None:
        for number in range(ENOUGH):
            (stage, _) = evaluations(tiny_stores, method, f"finished-{number}")
            manifest = {"kind": stage.kind, "settings": stage.settings, "cost": stage.cost}
            cache.path_of(stage).mkdir(parents=True)
            content = json.dumps({**manifest, "processor_seconds": seconds})
            (cache.path_of(stage) / "manifest.json").write_text(content)

    finished(Retrieval(adaptation=fit), 900.0)
    finished(PromptCloning(), 900.0)
    finished(Expert(), 30.0)
    stages = planned_stages(evaluations(tiny_stores, Retrieval(adaptation=fit)), cache)[-2:]
    fits = 100 * STEP_SECONDS * PROMPTS * speed()
    assert [each.seconds for each in stages] == pytest.approx(
        [fits + 30.0, 30.0 * stages[1].stage.cost / stages[0].stage.cost]
    )


def test_a_step_on_latents_costs_what_the_bench_measured() -> None:
    assert latent_step_seconds(64) / STEP_SECONDS == pytest.approx(3.2, abs=0.05)  # hyprepro bench adaptation
