"""The example of a method of one's own: what it gives for prompts, in a miniature."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hyprepro.component import COMPONENTS
from hyprepro.config.registry import resolve
from hyprepro.domains.base import Query
from hyprepro.methods.base import Method
from hyprepro.stores.prompts import read_prompts
from tests.conftest import TinyStores

RECIPE = Path(__file__).resolve().parents[2] / "examples" / "own-method" / "recipe.gin"


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    """Other tests know the shipped components alone."""
    yield
    COMPONENTS.pop("NearestStarts", None)
    sys.modules.pop("nearest_starts", None)


@pytest.fixture(scope="module")
def method() -> Method:
    found: Method = resolve(RECIPE, "smoke").recipe.methods[0]
    return found


def test_one_nearest_prompt_gives_the_policy_that_recorded_it(method: Method, tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data()
    with data.open_trajectories() as store:
        prompts = read_prompts(store, "reach", "train")  # known ones, so that the nearest is the prompt itself
    query = Query("reach", prompts=prompts, n=len(prompts))
    found = method.model_copy(update={"k": 1}).deploy(None, data, query, seed=0)
    with data.open_policies() as store:
        np.testing.assert_array_equal(found.params, store.read("reach", prompts.policy_rows))
    several = method.deploy(None, data, query, seed=0)
    assert several.params.shape == found.params.shape
    assert not np.array_equal(several.params, found.params)
