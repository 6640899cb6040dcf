from __future__ import annotations

import dataclasses

import numpy as np

from hyprepro.methods.retrieval import MeanPolicy
from tests.conftest import TinyStores
from tests.methods.shared import params_of, prompted, prompts_of, stored

TRAINING_ROWS = list(range(6))


def test_is_the_mean_of_the_tasks_training_policies_for_every_prompt(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data()
    controllers = MeanPolicy(block=4).deploy(None, data, prompted(prompts_of(data, "reach")), 0)
    wanted = stored(data, "reach", TRAINING_ROWS).mean(axis=0)
    np.testing.assert_allclose(params_of(controllers), np.tile(wanted, (5, 1)), atol=1e-6)
    assert controllers.representatives().tolist() == [0] * 5


def test_is_the_mean_of_all_for_a_task_without_training_policies(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data()
    prompts = dataclasses.replace(prompts_of(data, "reach"), task="door-lock")
    wanted = np.concatenate([stored(data, task, TRAINING_ROWS) for task in ("door-open", "reach")]).mean(axis=0)
    np.testing.assert_allclose(params_of(MeanPolicy().deploy(None, data, prompted(prompts), 0))[0], wanted, atol=1e-6)
