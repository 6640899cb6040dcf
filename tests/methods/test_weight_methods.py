"""Methods that yield weights, with and without adaptation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.domains.metaworld.domain import MetaWorld
from hyprepro.engine.cache import ArtifactCache
from hyprepro.gen_hyprl.adaptation import AgreementChoice, PromptAdaptation, RestartedAdaptation
from hyprepro.methods.base import WeightMethod
from hyprepro.methods.retrieval import AgreementRetrieval, MeanPolicy, disagreement
from hyprepro.policies.layout import METAWORLD_LAYOUT
from tests.conftest import TinyStores
from tests.gen_hyprl.test_stages import WHOLE, make
from tests.methods.shared import params_of, prompted, prompts_of

FIT = PromptAdaptation(steps=100)


@pytest.mark.parametrize("method", [MeanPolicy(), AgreementRetrieval()])
def test_an_adapted_method_agrees_better_with_its_prompts(tiny_stores: TinyStores, method: WeightMethod) -> None:
    data = tiny_stores.domain.data()
    prompts = prompts_of(data, "reach")
    bare = params_of(method.deploy(None, data, prompted(prompts), 0))
    fitted = params_of(method.model_copy(update={"adaptation": FIT}).deploy(None, data, prompted(prompts), 0))
    before, after = (np.diag(disagreement(METAWORLD_LAYOUT, params, prompts)) for params in (bare, fitted))
    assert (after < before).all()


def test_a_table_says_that_policies_are_fitted_to_the_prompt() -> None:
    assert "PromptAdaptation" in MeanPolicy(adaptation=FIT).information(MetaWorld())
    assert MeanPolicy(adaptation=FIT).information(CheetahVel()) == MeanPolicy.knows, "a number has no actions to fit to"


def test_gen_hyprl_offers_its_candidates(tiny_stores: TinyStores, tmp_path: Path) -> None:
    data = tiny_stores.domain.data()
    stage = WHOLE.training(data, 0)
    trained, prompts = stage.load(make(stage, ArtifactCache(tmp_path))), prompts_of(data, "reach")
    choosing = WHOLE.model_copy(update={"adaptation": AgreementChoice(), "candidates": 5})
    start = choosing.generate(trained, data, prompted(prompts), 0)
    assert start.candidates is not None
    assert start.candidates.shape == (len(prompts), 5, METAWORLD_LAYOUT.size)
    chosen = params_of(choosing.deploy(trained, data, prompted(prompts), 0))
    bare = params_of(choosing.model_copy(update={"adaptation": None}).deploy(trained, data, prompted(prompts), 0))
    before, after = (np.diag(disagreement(METAWORLD_LAYOUT, params, prompts)) for params in (bare, chosen))
    assert after.mean() <= before.mean() + 1e-6
    assert (
        WHOLE.model_copy(update={"adaptation": None}).generate(trained, data, prompted(prompts), 0).candidates is None
    )


def test_gen_hyprl_offers_what_it_generates_for_training_prompts(tiny_stores: TinyStores, tmp_path: Path) -> None:
    data = tiny_stores.domain.data()
    stage = WHOLE.training(data, 0)
    trained, prompts = stage.load(make(stage, ArtifactCache(tmp_path))), prompts_of(data, "reach")
    fit = RestartedAdaptation(adaptation=FIT)
    start = WHOLE.model_copy(update={"adaptation": fit, "library": 2}).generate(trained, data, prompted(prompts), 0)
    assert start.library is not None
    with data.open_policies() as store:
        assert start.library.shape == (2 * len(store.training_tasks()), METAWORLD_LAYOUT.size)
    again = WHOLE.model_copy(update={"adaptation": fit, "library": 2}).generate(
        trained, data, prompted(prompts.subset([0])), 0
    )
    assert again.library is not None
    assert torch.equal(again.library, start.library)  # the library does not depend on the prompts
    assert WHOLE.model_copy(update={"adaptation": FIT}).generate(trained, data, prompted(prompts), 0).library is None
