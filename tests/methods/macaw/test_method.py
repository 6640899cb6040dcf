"""MACAW: it meta-learns and adapts, goes on in the environment, a killed training goes on, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.engine.stage import METRICS, Report, read_metrics
from hyprepro.errors import UserError
from hyprepro.methods.macaw.learner import MetaLearner
from hyprepro.methods.macaw.method import MACAW, AdvantageWeighting, MACAWOnline
from hyprepro.methods.macaw.training import Buffer, MACAWJob
from hyprepro.policies.controllers import Controllers
from hyprepro.stores.episodes import Episodes
from tests.cheetah_stores import CheetahStores
from tests.methods.offline_training import killed_and_continued
from tests.methods.shared import asked, begun, named

KNOWN = (0.375, 1.05, 1.5)
SMALL = AdvantageWeighting(
    hidden=(16, 16), code=8, head=8, tasks=2, batch_size=32, skip=2, steps=60, return_scale=30.0,
    actor_rate=3e-3, value_rate=3e-3, inner_rate=0.01,
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(cheetah_stores: CheetahStores, tmp_path_factory: pytest.TempPathFactory) -> tuple[MetaLearner, Path]:
    """The meta-trained networks and where their training left its metrics."""
    stage, work = (
        MACAW(learner=SMALL).training(cheetah_stores.domain.data().trained_on(named(KNOWN)), 0),
        tmp_path_factory.mktemp("macaw"),
    )
    stage.run(work, {}, Report(work / METRICS))
    return stage.load(work), work


def deploy(stores: CheetahStores, model: MetaLearner, target: float = 1.2, **changes: object) -> Controllers:
    kind = MACAWOnline if "environment_steps" in changes else MACAW
    method = kind(learner=SMALL, adaptations=2).model_copy(update=changes)
    return method.deploy(model, stores.domain.data(), asked(target), 0)


def actions(actors: Controllers, rows: list[int]) -> np.ndarray:
    observations = np.random.default_rng(0).normal(size=(1, 17)).astype(np.float32)
    return begun(actors, rows).act(observations.repeat(len(rows), axis=0))


def test_it_meta_learns(trained: tuple[MetaLearner, Path]) -> None:
    lines = [line for line in read_metrics(trained[1] / METRICS) if "validation_error" in line]
    assert lines[-1]["validation_value_loss"] < lines[0]["validation_value_loss"]
    assert lines[-1]["validation_error"] < 0.7 * lines[0]["validation_error"]


def test_actors_adapt_to_their_own_transitions(
    cheetah_stores: CheetahStores, trained: tuple[MetaLearner, Path]
) -> None:
    actors = deploy(cheetah_stores, trained[0])
    assert actors.n == 2
    together = actions(actors, [0, 1, 0])
    assert together.shape == (3, 6)
    assert together.dtype == np.float32
    assert np.array_equal(together[0], together[2])
    assert not np.array_equal(together[0], together[1])
    assert np.array_equal(together, actions(deploy(cheetah_stores, trained[0]), [0, 1, 0]))
    assert not np.allclose(together, actions(deploy(cheetah_stores, trained[0], target=0.225), [0, 1, 0]), atol=1e-5)


def test_without_the_inner_step_nothing_tells_the_velocity(
    cheetah_stores: CheetahStores, trained: tuple[MetaLearner, Path]
) -> None:
    slow, fast = (
        actions(deploy(cheetah_stores, trained[0], target=target, adapt=False, adaptations=1), [0])
        for target in (0.225, 2.025)
    )
    assert np.array_equal(slow, fast)


def test_deploying_leaves_the_meta_trained_networks_alone(
    cheetah_stores: CheetahStores, trained: tuple[MetaLearner, Path]
) -> None:
    before = {name: value.clone() for name, value in trained[0].state_dict().items()}
    deploy(cheetah_stores, trained[0], environment_steps=200, burn_in=0, value_updates=1, actor_updates=1)
    assert all(torch.equal(value, before[name]) for name, value in trained[0].state_dict().items())


def test_it_goes_on_in_the_environment(cheetah_stores: CheetahStores, trained: tuple[MetaLearner, Path]) -> None:
    offline = actions(deploy(cheetah_stores, trained[0]), [0, 1])
    tuning = {"environment_steps": 400, "value_updates": 2, "actor_updates": 3}
    for burn_in, is_changed in ((2, False), (1, True)):
        tuned = actions(deploy(cheetah_stores, trained[0], **tuning, burn_in=burn_in), [0, 1])
        assert np.array_equal(tuned, offline) != is_changed


def test_what_the_table_says_of_it() -> None:
    assert MACAW(learner=SMALL).information(CheetahVel()).startswith("32 transitions of an offline buffer")
    assert MACAWOnline().information(CheetahVel()).endswith("20,000 steps of the environment at it")
    assert MACAW(adapt=False).information(CheetahVel()) == "nothing"


def test_a_killed_training_goes_on(
    cheetah_stores: CheetahStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = MACAW(learner=SMALL.model_copy(update={"steps": 8})).training(
        cheetah_stores.domain.data().trained_on(named(KNOWN)), 0
    )
    whole, continued = killed_and_continued(stage, MACAWJob, 5, tmp_path, monkeypatch)
    assert whole == continued


def test_a_buffer_keeps_every_so_many_th_transition_with_its_return() -> None:
    draws = np.random.default_rng(0)
    episodes = Episodes(*(draws.normal(size=shape).astype(np.float32) for shape in ((2, 21, 17), (2, 20, 6), (2, 20))))
    buffer = Buffer.of(episodes, SMALL.model_copy(update={"skip": 3, "batch_size": 4, "discount": 0.9}))
    states, taken, returns, last, discounts = buffer.columns
    assert len(buffer) == 14
    number = 23  # step 3 of the second episode
    row = number // 3 + (number % 3 > 0)
    step = 3 * row - 20
    np.testing.assert_array_equal(states[row].numpy(), episodes.observations[1, step])
    np.testing.assert_array_equal(taken[row].numpy(), episodes.actions[1, step])
    np.testing.assert_array_equal(last[row].numpy(), episodes.observations[1, 20])
    weights = 0.9 ** np.arange(20 - step)
    assert returns[row].item() * 30 == pytest.approx(float((weights * episodes.rewards[1, step:]).sum()), rel=1e-4)
    assert discounts[row].item() == pytest.approx(0.9 ** (20 - step), rel=1e-5)
    rows = buffer.rows(4, contiguous=True)
    assert (rows.diff() == 1).all()
    assert len(set(buffer.rows(14).tolist())) == 14


def test_a_buffer_smaller_than_a_batch(cheetah_stores: CheetahStores, tmp_path: Path) -> None:
    method = MACAW(learner=SMALL.model_copy(update={"batch_size": 256}))
    with pytest.raises(UserError, match="makes 100: fewer than a batch of 256"):
        method.training(cheetah_stores.domain.data().trained_on(named(KNOWN)), 0).run(tmp_path, {}, Report())
