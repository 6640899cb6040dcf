from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from hyprepro.gen_hyprl.embedding import TrainBehaviorEmbedding
from hyprepro.methods.retrieval import Retrieval
from tests.conftest import TinyStores
from tests.methods.shared import params_of, prompted, prompts_of, stored


@dataclass
class Projection:
    """A stand-in for a trained embedding: random projections of what it is given."""

    scale: float = 1.0

    def embed(self, tau: Tensor, tau_hat: Tensor) -> tuple[Tensor, Tensor]:
        draws = torch.Generator().manual_seed(0)
        phi, psi = (torch.randn(part.shape[1], 16, generator=draws) for part in (tau, tau_hat))
        return self.scale * tau @ phi, tau_hat @ psi


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize("condition", ["h_and_v", "h"])
@pytest.mark.parametrize("task", ["door-open", "reach"])
def test_a_training_prompt_retrieves_its_own_policy(
    tiny_stores: TinyStores, task: str, condition: str, distance: str
) -> None:
    data = tiny_stores.domain.data()
    method = Retrieval(condition=condition, distance=distance)
    prompts = prompts_of(data, task, "train")
    got = params_of(method.deploy(Projection(), data, prompted(prompts), 0))
    assert np.array_equal(got, stored(data, task, prompts.policy_rows))


def test_h_alone_ignores_the_outcome_and_both_do_not(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data()
    prompts = prompts_of(data, "reach", "train")
    swapped = prompts.subset(np.roll(np.arange(len(prompts)), 1))
    mixed = type(prompts)(**{**vars(prompts), "tau_hat": swapped.tau_hat})
    own = stored(data, "reach", prompts.policy_rows)
    faint = Projection(scale=1e-3)  # h is of no weight beside v
    assert np.array_equal(params_of(Retrieval(condition="h").deploy(faint, data, prompted(mixed), 0)), own)
    by_outcome = params_of(Retrieval(condition="h_and_v").deploy(faint, data, prompted(mixed), 0))
    assert np.array_equal(by_outcome, stored(data, "reach", swapped.policy_rows))


def test_test_prompts_get_training_policies_only(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data()
    got = params_of(Retrieval().deploy(Projection(), data, prompted(prompts_of(data, "reach")), 0))
    known = np.concatenate([stored(data, task, list(range(6))) for task in ("door-open", "reach")])
    assert all((row == known).all(axis=1).any() for row in got)


def test_trains_the_embedding_once_for_all_seeds(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data()
    stage = Retrieval().training(data, 3)
    assert isinstance(stage, TrainBehaviorEmbedding)
    assert stage.key == Retrieval().training(data, 4).key
