from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hyprepro.errors import UserError
from hyprepro.methods.ceilings import Expert
from tests.conftest import TinyStores
from tests.methods.shared import params_of, prompted, prompts_of, stored


def test_deploys_the_policies_that_recorded_the_prompts(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data()
    prompts = prompts_of(data, "door-open")
    got = params_of(Expert().deploy(None, data, prompted(prompts), 0))
    assert np.array_equal(got, stored(data, "door-open", prompts.policy_rows))
    assert prompts.policy_rows.tolist() == [6, 7, 6, 7, 6]


def test_has_nothing_to_train(tiny_stores: TinyStores) -> None:
    assert Expert().training(tiny_stores.domain.data(), 0) is None


@pytest.mark.parametrize("change", [{"policy_rows": np.array([6, -1])}, {"task": "window-open"}])
def test_a_policy_that_is_not_stored_is_a_mistake(tiny_stores: TinyStores, change: dict[str, object]) -> None:
    data = tiny_stores.domain.data()
    prompts = dataclasses.replace(prompts_of(data, "reach").subset([0, 1]), **change)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="not stored") as caught:
        Expert().deploy(None, data, prompted(prompts), 0)
    assert "Expert" in caught.value.fix
