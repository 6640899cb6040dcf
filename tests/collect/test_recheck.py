from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyprepro.collect import recheck
from hyprepro.collect.metaworld.settings import RECHECK
from hyprepro.errors import UserError
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter
from tests.domains.toy import TOY_LAYOUT, Walk, walk_pool


def walkers(folder: Path, recorded: float, episodes: int = 20, route: dict[str, Any] | None = None) -> Path:
    """Policies that always act 1, so that they reach every goal of the toy world."""
    parts = {spec.name: np.zeros(spec.shape, np.float32) for spec in TOY_LAYOUT.layers}
    parts["mean.bias"][:] = 9.0
    params = np.repeat(TOY_LAYOUT.join(parts)[None], 6, axis=0)
    with PolicyStoreWriter(folder / "p.h5", TOY_LAYOUT, route or {}) as writer:
        for task in ("door-open", "reach"):
            writer.append(task, params, 0, 0, recorded if task == "reach" else 1.0, episodes, 0.0, "train")
    return folder / "p.h5"


def test_true_rates_stand_and_false_ones_are_contradicted(tmp_path: Path) -> None:
    for recorded, contradicted in ((1.0, False), (0.9, False), (0.2, True)):
        with PolicyStore.open(walkers(tmp_path, recorded)) as store:
            door, reach = recheck.recheck(store, 4, 5, pool=walk_pool(3))
        assert (reach.policies, reach.episodes, reach.measured, reach.recorded_goals) == (4, 20, 1.0, 20)
        assert reach.recorded == pytest.approx(recorded)
        assert (door.contradicted, reach.contradicted) == (False, contradicted)


def test_few_recorded_goals_contradict_nothing(tmp_path: Path) -> None:
    """All policies share the goals of their recorded rates, so six policies on two goals are two goals."""
    with PolicyStore.open(walkers(tmp_path, 0.5, episodes=2)) as store:
        assert not recheck.recheck(store, 6, 5, ["reach"], walk_pool(3))[0].contradicted


def test_unknown_rates_are_measured_only(tmp_path: Path) -> None:
    with PolicyStore.open(walkers(tmp_path, 0.0, episodes=0)) as store:
        found = recheck.recheck(store, 2, 5, ["reach"], walk_pool(2))[0]
    assert (found.recorded, found.p, found.contradicted, found.measured) == (None, None, False, 1.0)


def test_the_recorded_horizon_is_kept(tmp_path: Path) -> None:
    """The far goals of the toy world need 11 steps of 0.2: within 3 steps only near ones are reached."""
    route = {"collection": {"selection": {"score_steps": 3}}}
    with PolicyStore.open(walkers(tmp_path, 1.0, route=route)) as store:
        assert recheck.recorded_steps(store) == 3
        assert 0 < recheck.recheck(store, 6, 5, ["reach"], walk_pool(3))[0].measured < 1
    with PolicyStore.open(walkers(tmp_path, 1.0, route={"collection": "mine"})) as store:
        assert recheck.recorded_steps(store) == 500


def test_policies_do_not_share_goals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(Walk, "reset", lambda self, goal: seen.append(goal.seed) or walk_reset(self, goal))
    with PolicyStore.open(walkers(tmp_path, 1.0)) as store:
        recheck.recheck(store, 6, 5, pool=walk_pool(2))
    assert len(seen) == len(set(seen)) == 60
    assert all(seed in RECHECK for seed in seen)


walk_reset = Walk.reset


def test_what_cannot_be_run(tmp_path: Path) -> None:
    with PolicyStore.open(walkers(tmp_path, 1.0)) as store:
        with pytest.raises(UserError, match="Unknown Meta-World task"):
            recheck.recheck(store, 1, 1, ["unlabelled"])
        with pytest.raises(UserError, match="goals"):
            recheck.recheck(store, 1000, 1000)


@pytest.mark.parametrize(("successes", "low", "high"), [(0, 0.0, 0.2775), (10, 0.7225, 1.0), (9, 0.5958, 0.9821)])
def test_the_interval_of_ten_trials_is_wilsons(successes: int, low: float, high: float) -> None:
    assert recheck.wilson(successes, 10) == pytest.approx((low, high), abs=1e-3)
