from __future__ import annotations

import numpy as np
import pytest

from hyprepro.methods.retrieval import AgreementRetrieval, disagreement
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import METAWORLD_LAYOUT
from tests.conftest import TinyStores
from tests.methods.shared import params_of, prompted, prompts_of, stored


@pytest.mark.parametrize("task", ["door-open", "reach"])
def test_a_prompt_retrieves_the_training_policy_that_recorded_it(tiny_stores: TinyStores, task: str) -> None:
    data = tiny_stores.domain.data()
    prompts = prompts_of(data, task, "train")  # the tiny stores' actions are the policies' own
    got = params_of(AgreementRetrieval().deploy(None, data, prompted(prompts), 0))
    assert np.array_equal(got, stored(data, task, prompts.policy_rows))


def test_the_block_size_changes_memory_only(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data()
    prompts = prompts_of(data, "reach")
    small, large = (
        params_of(AgreementRetrieval(block=block).deploy(None, data, prompted(prompts), 0)) for block in (1, 50)
    )
    assert np.array_equal(small, large)


def test_disagreement_is_the_mean_squared_difference_to_the_clipped_actions(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data()
    prompts = prompts_of(data, "reach").subset([0, 1])
    prompts.tau.reshape(2, 20, 51)[1, :, 39:43] = 3.0  # recorded beyond the range of actions
    params = stored(data, "reach", [0, 1, 2])
    got = disagreement(METAWORLD_LAYOUT, params, prompts)
    for row in range(3):
        for number in range(2):
            policy = StackedPolicies(METAWORLD_LAYOUT, np.repeat(params[row : row + 1], 20, axis=0))
            wanted = np.clip(prompts.actions[number, :, 0], -1, 1)
            error = np.mean((policy.act(np.arange(20), prompts.states[number]) - wanted) ** 2)
            assert got[row, number] == pytest.approx(error, rel=1e-4)
