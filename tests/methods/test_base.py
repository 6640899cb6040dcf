from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from hyprepro.config.catalogue import load_components
from hyprepro.domains.base import Data
from hyprepro.engine.cache import ArtifactCache
from hyprepro.errors import UserError
from hyprepro.methods.base import Method
from hyprepro.methods.ceilings import DomainRandomisation
from hyprepro.methods.cloning import ConditionedCloning
from tests.cheetah_stores import CheetahStores
from tests.conftest import TinyStores
from tests.gen_hyprl.test_stages import EMBEDDING, MAA, REGRESSOR, WHOLE, WITHOUT, make
from tests.methods.shared import asked, named, params_of

METHODS = [cls for cls in load_components().values() if issubclass(cls, Method)]


def test_the_ceilings_and_the_competitors_are_all_there() -> None:
    labels = {cls.label for cls in METHODS}
    assert labels >= {
        "expert", "autoencoder", "parent", "retrieval", "agreement-retrieval", "interpolation", "mean-policy",
        "prompt-cloning", "conditioned-cloning", "mse-regressor", "make-an-agent",
        "gen-hyprl", "gen-hyprl-wo-hypformer",
    }  # fmt: skip
    assert len(labels) == len(METHODS)


@pytest.mark.parametrize("cls", METHODS, ids=lambda cls: cls.__name__)
def test_every_method_says_what_it_is_and_what_it_knows(cls: type[Method]) -> None:
    assert cls.slot == "method"
    assert cls.label
    assert cls.knows
    assert cls().described()["component"] == cls.__name__


def test_a_method_must_say_how_it_is_deployed() -> None:
    class Incomplete(Method):
        label = "incomplete"

    with pytest.raises(TypeError, match="abstract"):
        Incomplete()


def test_every_method_serves_a_domain_or_says_why_not(tiny_stores: TinyStores, cheetah_stores: CheetahStores) -> None:
    prompts = tiny_stores.domain.data()
    domains = [dataclasses.replace(prompts, parents=prompts.policies), cheetah_stores.domain.data()]
    for cls in METHODS:
        if issubclass(cls, DomainRandomisation):
            continue  # asks for one policy for all tasks: test_ceilings.py
        refused = [_refusal(cls(), data) for data in domains]
        assert None in refused, cls
        assert {each is None for each in refused} == {True} or cls.needs, cls
        assert all(each is None or (cls.needs in each.what and cls.label in each.what) for each in refused)


def _refusal(method: Method, data: Data) -> UserError | None:
    try:
        method.require(data)
    except UserError as error:
        return error
    return None


@pytest.mark.parametrize(
    "method", [WHOLE, WITHOUT, REGRESSOR, MAA, ConditionedCloning(steps=5, embedding=EMBEDDING)], ids=lambda m: m.label
)
def test_what_is_trained_on_prompts_is_trained_on_velocities_too(
    method: Method, cheetah_stores: CheetahStores, tmp_path: Path
) -> None:
    data = cheetah_stores.domain.data().trained_on(named((0.375, 1.05, 1.5, 1.95, 2.325)))
    stage = method.training(data, 1)
    assert stage is not None
    trained = stage.load(make(stage, ArtifactCache(tmp_path)))
    found, other = (params_of(method.deploy(trained, data, asked(target), 1)) for target in (1.2, 1.8))
    assert found.shape == (20 if method in (WHOLE, WITHOUT, MAA) else 1, data.domain.layout.size)
    assert np.isfinite(found).all()
    assert not np.array_equal(found, other)
