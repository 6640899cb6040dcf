"""Prompt-DT: it learns, its prompt and its memory matter, a killed training goes on, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.engine.stage import METRICS, Report, read_metrics
from hyprepro.errors import UserError
from hyprepro.methods.decision_transformer.prompt_dt import PromptDT, PromptTransformer
from hyprepro.methods.decision_transformer.prompt_dt_job import EpisodeTensors, PromptDTJob, prompts
from hyprepro.policies.controllers import Controllers
from hyprepro.stores.episodes import read_episodes
from tests.cheetah_stores import CheetahStores
from tests.methods.offline_training import killed_and_continued
from tests.methods.shared import asked, begun, named

KNOWN = (0.375, 1.05, 1.5)
SMALL = PromptTransformer(
    hidden=16, layers=1, context=6, prompt_steps=3, steps=60, batch_size=4, learning_rate=3e-3, warm_up=5
)


@pytest.fixture(scope="module")
def deployed(cheetah_stores: CheetahStores, tmp_path_factory: pytest.TempPathFactory) -> tuple[Controllers, Path]:
    """Two agents at a velocity never trained on, and where the training left its metrics."""
    files, method = cheetah_stores.domain.data().trained_on(named(KNOWN)), PromptDT(transformer=SMALL, prompts=2)
    stage, work = method.training(files, 0), tmp_path_factory.mktemp("prompt-dt")
    stage.run(work, {}, Report(work / METRICS))
    return method.deploy(stage.load(work), files, asked(1.2), 0), work


def actions(agents: Controllers, rows: list[int], reward: float = -1.0, steps: int = 8) -> np.ndarray:
    session, draws = begun(agents, rows), np.random.default_rng(0)
    taken = []
    for _ in range(steps):
        taken.append(session.act(np.repeat(draws.normal(size=(1, 17)).astype(np.float32), len(rows), axis=0)))
        session.observe(np.full(len(rows), reward))
    return np.stack(taken)


def test_it_learns(deployed: tuple[Controllers, Path]) -> None:
    errors = [line["validation_error"] for line in read_metrics(deployed[1] / METRICS) if "validation_error" in line]
    assert errors[-1] < 0.7 * errors[0]


def test_agents_act_on_their_own_episode(deployed: tuple[Controllers, Path]) -> None:
    agents, _ = deployed
    assert agents.n == 2
    together, alone = actions(agents, [0, 1, 0]), actions(agents, [1])
    assert together.shape == (8, 3, 6)
    assert together.dtype == np.float32
    assert np.abs(together).max() <= 1
    np.testing.assert_allclose(together[:, 1], alone[:, 0], atol=1e-5)
    np.testing.assert_allclose(together[:, 0], together[:, 2], atol=1e-6)


def test_agents_condition_on_their_rewards_and_forget_at_a_reset(deployed: tuple[Controllers, Path]) -> None:
    agents, _ = deployed
    low, high = actions(agents, [0], reward=-50.0), actions(agents, [0], reward=0.0)
    np.testing.assert_allclose(low[0], high[0], atol=1e-6)
    assert not np.allclose(low[-1], high[-1], atol=1e-5)
    np.testing.assert_array_equal(actions(agents, [0]), actions(agents, [0]))


def test_an_agent_sees_no_more_of_its_episode_than_its_memory(
    cheetah_stores: CheetahStores, deployed: tuple[Controllers, Path]
) -> None:
    files, trained = (
        cheetah_stores.domain.data(),
        PromptDT(transformer=SMALL)
        .training(cheetah_stores.domain.data().trained_on(named(KNOWN)), 0)
        .load(deployed[1]),
    )
    for memory, same in ((1, True), (2, False)):
        method = PromptDT(transformer=SMALL, prompts=1, memory=memory)
        session = method.deploy(trained, files, asked(1.2), 0).session(1)
        last = []
        for first in (0.0, 3.0):
            session.assign(0, 0)
            session.act(np.full((1, 17), first, np.float32))
            session.observe(np.array([-1.0]))
            last.append(session.act(np.ones((1, 17), np.float32)))
        assert np.allclose(*last, atol=1e-6) == same


def test_the_prompt_tells_the_velocity(cheetah_stores: CheetahStores, deployed: tuple[Controllers, Path]) -> None:
    files, method = cheetah_stores.domain.data().trained_on(named(KNOWN)), PromptDT(transformer=SMALL, prompts=1)
    trained = method.training(files, 0).load(deployed[1])
    slow, fast = (actions(method.deploy(trained, files, asked(target), 0), [0]) for target in (0.225, 2.025))
    assert not np.allclose(slow, fast, atol=1e-4)


def test_a_prompt_is_the_end_of_an_experts_episode(cheetah_stores: CheetahStores) -> None:
    (experts,) = read_episodes(cheetah_stores.domain.data(), ["velocity-1.050"], "validation")
    model = SMALL.build(17, 6, 200)
    states, taken, to_go, steps, _ = prompts(model, EpisodeTensors.of([experts]), torch.zeros(1, dtype=torch.long))
    assert steps.tolist() == [[196, 197, 198]]
    np.testing.assert_array_equal(states[0].numpy(), experts.observations[0, 196:199])
    np.testing.assert_array_equal(taken[0].numpy(), experts.actions[0, 196:199])
    np.testing.assert_allclose(to_go[0, 0, 0].item() * 500, experts.rewards[0, 196:].sum(), rtol=1e-4)


def test_a_killed_training_goes_on(
    cheetah_stores: CheetahStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = PromptDT(transformer=SMALL.model_copy(update={"steps": 8}))
    stage = method.training(cheetah_stores.domain.data().trained_on(named(KNOWN)), 0)
    whole, continued = killed_and_continued(stage, PromptDTJob, 5, tmp_path, monkeypatch)
    assert whole == continued


def test_what_the_table_says_of_it() -> None:
    assert PromptDT(transformer=SMALL).information(CheetahVel()).startswith("3 steps of an expert's episode")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt_steps": 7}, "prompt of 7 steps is longer than the context of 6"),
        ({"heads": 3}, "not divisible by 3 heads"),
    ],
)
def test_settings_that_do_not_fit(cheetah_stores: CheetahStores, changes: dict[str, int], message: str) -> None:
    method = PromptDT(transformer=SMALL.model_copy(update=changes))
    with pytest.raises(UserError, match=message):
        method.training(cheetah_stores.domain.data().trained_on(named(KNOWN)), 0)


def test_a_context_longer_than_an_episode(cheetah_stores: CheetahStores, tmp_path: Path) -> None:
    method = PromptDT(transformer=SMALL.model_copy(update={"context": 201}))
    with pytest.raises(UserError, match="200 steps, fewer than the context of 201"):
        method.training(cheetah_stores.domain.data().trained_on(named(KNOWN)), 0).run(tmp_path, {}, Report())
