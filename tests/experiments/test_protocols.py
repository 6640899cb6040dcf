from __future__ import annotations

import pytest
from pydantic import ValidationError

from hyprepro.domains.metaworld import tasks as goals
from hyprepro.domains.metaworld.domain import MetaWorld
from hyprepro.domains.metaworld.tasks import Goal
from hyprepro.experiments.protocols import (
    CommonStarts,
    PaperProtocol,
    Protocol,
    StrictProtocol,
    Trial,
    ValidationProtocol,
)


def test_the_paper_protocol_runs_every_policy_on_both_frozen_goals() -> None:
    assert PaperProtocol().trials(MetaWorld(), "reach", 2) == [
        Trial("paper", 0, Goal("paper", 720)),
        Trial("paper", 0, Goal("paper", 920)),
        Trial("paper", 1, Goal("paper", 720)),
        Trial("paper", 1, Goal("paper", 920)),
    ]


def test_strict_goals_are_fresh_and_used_once() -> None:
    trials = StrictProtocol(goals_per_policy=3).trials(MetaWorld(), "reach", 100)
    assert len({trial.start for trial in trials}) == len(trials) == 300
    assert all(trial.start.kind == "fresh" and trial.start.seed in goals.STRICT for trial in trials)
    assert [trial.policy for trial in trials] == [row for row in range(100) for _ in range(3)]


def test_strict_goals_of_a_policy_do_not_depend_on_how_many_there_are() -> None:
    few, many = (StrictProtocol().trials(MetaWorld(), "reach", count) for count in (5, 100))
    assert few == many[:5]


def test_validation_goals_are_common_to_all_policies_and_apart_from_test_goals() -> None:
    validation = ValidationProtocol(goals=2).trials(MetaWorld(), "reach", 3)
    assert {trial.protocol for trial in validation} == {"validation"}
    by_policy = [{trial.start for trial in validation if trial.policy == row} for row in range(3)]
    assert by_policy[0] == by_policy[1] == by_policy[2]
    assert len(by_policy[0]) == 2
    assert all(goal.seed in goals.VALIDATION for goal in by_policy[0])


def test_validation_needs_a_goal() -> None:
    with pytest.raises(ValidationError):
        ValidationProtocol(goals=0)


@pytest.mark.parametrize("mistake", [{"goals_per_policy": 0}, {"base_seed": -1}, {"goals_per_policy": 0.5}])
def test_refuses_impossible_settings(mistake: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        StrictProtocol(**mistake)


@pytest.mark.parametrize(
    "protocol",
    [
        PaperProtocol(env_seeds=(1, 2, 3)),
        StrictProtocol(goals_per_policy=2),
        ValidationProtocol(goals=4),
        CommonStarts(starts=5),
    ],
    ids=lambda protocol: type(protocol).__name__,
)
def test_episodes_are_counted_without_drawing_their_starts(protocol: Protocol) -> None:
    assert len(protocol.trials(MetaWorld(), "reach", 7)) == 7 * protocol.episodes


def test_the_paper_protocol_needs_a_seed() -> None:
    with pytest.raises(ValidationError):
        PaperProtocol(env_seeds=())
