"""Episodes on tape: they are those that an evaluation runs, and whatever MuJoCo simulates can be taped."""

from __future__ import annotations

import numpy as np
import pytest

from hyprepro.domains.base import Domain
from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.domains.episodes import Episode, Outcome, run_episodes
from hyprepro.domains.metaworld.domain import MetaWorld
from hyprepro.domains.metaworld.env import MetaWorldEnv
from hyprepro.domains.rendering import taped
from hyprepro.errors import UserError
from hyprepro.policies.controllers import LayeredControllers, PolicyControllers
from hyprepro.policies.layout import CHEETAH_LAYOUT, METAWORLD_LAYOUT
from tests.domains.toy import WalkDomain, toy_controllers


def random_policy(domain: Domain) -> PolicyControllers:
    layout = METAWORLD_LAYOUT if domain.metric.ends_episode else CHEETAH_LAYOUT
    return PolicyControllers(layout, np.random.default_rng(0).normal(0, 0.1, (1, layout.size)))


@pytest.mark.sim
@pytest.mark.parametrize(("domain", "task"), [(MetaWorld(), "reach"), (CheetahVel(), "velocity-1.200")])
def test_a_taped_episode_is_the_one_that_is_evaluated(domain: Domain, task: str) -> None:
    controllers, episode = random_policy(domain), Episode(0, domain.start("test", 0, task, 3))
    tape, outcome = taped(domain, task, controllers, episode)
    assert [outcome] == run_episodes(domain, task, controllers, [episode])
    assert tape.steps == domain.horizon == len(tape.totals) - 1
    assert len({state.tobytes() for state in tape.states}) == len(tape.states)
    if outcome.total is not None:
        assert tape.totals[-1] == pytest.approx(outcome.total)


@pytest.mark.sim
def test_meta_world_tapes_its_rewards_which_controllers_do_not_see() -> None:
    class Watching(LayeredControllers):
        seen = 0

        def observe(self, rewards: object) -> None:
            Watching.seen += 1

    layers = [(np.zeros((39, 4)), np.array([0.3, 0.1, -0.2, 0.0]))]
    start = MetaWorld().start("test", 0, "reach", 0)
    tape, _ = taped(MetaWorld(), "reach", Watching(layers, 1), Episode(0, start))
    assert Watching.seen == 0
    env, action = MetaWorldEnv("reach"), np.tanh(np.float32([0.3, 0.1, -0.2, 0.0]))
    env.reset(start)
    rewards = [env.step(action)[1] for _ in range(5)]
    np.testing.assert_allclose(np.diff(tape.totals[:6]), rewards, rtol=1e-6)


@pytest.mark.sim
def test_a_whole_episode_says_where_it_first_succeeded_and_whether_that_held() -> None:
    from hyprepro.domains.metaworld.env import scripted_action

    class Scripted:
        """metaworld's expert, that turns away after a while."""

        n = 1

        def representatives(self) -> np.ndarray:
            return np.zeros(1, dtype=np.int64)

        def session(self, slots: int) -> Scripted:
            self.acted = 0
            return self

        def assign(self, slot: int, row: int) -> None:
            self.acted = 0

        def observe(self, rewards: object) -> None:
            pass

        def act(self, observations: np.ndarray) -> np.ndarray:
            self.acted += 1
            if self.acted > 120:
                return np.float32([[0, 0, 1, 0]])
            return scripted_action("reach", observations[0].astype(np.float64))[None]

    domain = MetaWorld()
    episode = Episode(0, domain.start("test", 0, "reach", 0))
    tape, whole = taped(domain, "reach", Scripted(), episode, whole=True)
    short, first = taped(domain, "reach", Scripted(), episode)
    assert (whole.success, whole.held, tape.steps) == (True, False, 500)
    assert (first.success, first.held, short.steps) == (True, None, whole.steps)
    assert tape.flags.index(True) == whole.steps
    assert np.array_equal(short.states[-1], tape.states[short.steps])


def test_a_success_that_ends_no_episode_changes_no_other_outcome() -> None:
    controllers = toy_controllers(6)
    domain = WalkDomain()
    episodes = [Episode(row, domain.start("test", 0, "walk", seed)) for row in range(6) for seed in range(4)]
    ended, whole = (run_episodes(domain, "walk", controllers, episodes, whole=each) for each in (False, True))
    assert [each._replace(held=None) for each in whole] == ended
    held = [each.held for each in whole]
    assert set(held) == {True, False}
    assert all(each.success or not each.held for each in whole)
    assert Outcome(True, 3).held is None


def test_a_simulator_without_a_scene_is_refused() -> None:
    episode = Episode(0, WalkDomain().start("test", 0, "walk", 0))
    with pytest.raises(UserError, match="Walk cannot be drawn") as refusal:
        taped(WalkDomain(), "walk", toy_controllers(1), episode)
    assert "physics(slot)" in refusal.value.fix
