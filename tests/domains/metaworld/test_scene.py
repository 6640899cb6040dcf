"""What of an observation may be shifted, turned, mirrored and moved."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.domains.metaworld.domain import MetaWorld
from hyprepro.domains.metaworld.scene import MetaWorldScene
from hyprepro.domains.scenes import Symmetry
from hyprepro.errors import UserError
from tests.conftest import TinyStores

SCENE = MetaWorldScene()
HAND, OBJECT, ABSENT, GOAL = slice(0, 3), slice(4, 7), slice(11, 14), slice(36, 39)
PREVIOUS = slice(18, 21)


@pytest.fixture(scope="module")
def steps() -> tuple[Tensor, Tensor]:
    """Observations `[5, 39]` without a second object, and actions `[5, 4]`."""
    generator = torch.Generator().manual_seed(0)
    observations = torch.rand((5, 39), generator=generator) + 0.1
    for first in (11, 29):
        observations[:, first : first + 7] = 0
    return observations, 2 * torch.rand((5, 4), generator=generator) - 1


def changed(symmetry: Symmetry, amount: float, steps: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return SCENE.changed(symmetry, amount, *steps, torch.Generator().manual_seed(1))


def test_a_shifted_scene_keeps_its_inner_distances_and_its_actions(steps: tuple[Tensor, Tensor]) -> None:
    observations, actions = changed("shift", 0.1, steps)
    moved = observations - steps[0]
    for part in (OBJECT, PREVIOUS, GOAL):
        torch.testing.assert_close(moved[:, part], moved[:, HAND])
    assert (moved[:, HAND].abs() <= 0.1).all()
    assert len(moved[:, 0].unique()) == 5, "each observation for itself"
    assert torch.equal(actions, steps[1])
    assert not observations[:, ABSENT].any(), "what is not there stays away"


def test_a_turned_scene_keeps_the_hand_and_all_distances_from_it(steps: tuple[Tensor, Tensor]) -> None:
    observations, actions = changed("turn", 1.0, steps)
    before, after = (values[:, GOAL] - values[:, HAND] for values in (steps[0], observations))
    assert torch.equal(observations[:, HAND], steps[0][:, HAND])
    torch.testing.assert_close(after.norm(dim=1), before.norm(dim=1))
    torch.testing.assert_close(after[:, 2], before[:, 2])
    assert not torch.allclose(after, before, atol=1e-3)
    # The action turns as the goal does: their angle stays.
    dots = [(values[:, :2] * offset[:, :2]).sum(1) for values, offset in ((steps[1], before), (actions, after))]
    torch.testing.assert_close(*dots)
    assert torch.equal(actions[:, 2:], steps[1][:, 2:])


def test_a_mirror_swaps_left_and_right(steps: tuple[Tensor, Tensor]) -> None:
    observations, actions = changed("mirror", 1.0, steps)
    before, after = (values[:, GOAL] - values[:, HAND] for values in (steps[0], observations))
    torch.testing.assert_close(after, before * torch.tensor([-1.0, 1.0, 1.0]))
    torch.testing.assert_close(actions, steps[1] * torch.tensor([-1.0, 1.0, 1.0, 1.0]))
    assert torch.equal(changed("mirror", 0.0, steps)[1], steps[1])


def test_another_instance_of_a_task_has_the_hand_where_it_was(steps: tuple[Tensor, Tensor]) -> None:
    by = torch.tensor([0.1, 0.0, 0.0]).expand(5, 3)
    moved = SCENE.rearranged(steps[0], by) - steps[0]
    assert not moved[:, HAND].any()
    assert not moved[:, PREVIOUS].any()
    torch.testing.assert_close(moved[:, GOAL], by)
    torch.testing.assert_close(moved[:, OBJECT], by)


def test_instances_lie_along_the_table() -> None:
    by = SCENE.elsewhere((50,), 0.05, torch.Generator().manual_seed(0))
    assert by.shape == (50, 3)
    assert not by[:, 2].any()
    assert 0.04 < float(by.abs().max()) <= 0.05


def test_an_observation_follows_from_the_one_before_and_its_change(tiny_stores: TinyStores) -> None:
    with tiny_stores.domain.data().open_trajectories() as store:
        episode = next(store.episodes("door-open", "train"))
    now, then = (torch.from_numpy(part) for part in (episode.observations[:-1], episode.observations[1:]))
    advanced = SCENE.advanced(now, SCENE.change(now, then))
    torch.testing.assert_close(advanced[:, :18], then[:, :18])
    assert torch.equal(advanced[:, 18:36], now[:, :18])
    assert SCENE.inputs(now, torch.zeros(len(now), 4)).shape == (len(now), SCENE.input_size)


def test_what_a_model_of_the_world_sees_hardly_changes_with_the_place(steps: tuple[Tensor, Tensor]) -> None:
    shifted = changed("shift", 0.1, steps)
    before, after = SCENE.inputs(*steps), SCENE.inputs(*shifted)
    assert torch.isclose(before, after, atol=1e-6).float().mean() > 0.8


def test_a_domain_that_does_not_say_what_its_numbers_are() -> None:
    assert MetaWorld.symmetries == {"shift", "turn", "mirror"}
    assert not CheetahVel.symmetries
    with pytest.raises(UserError, match="does not say what the numbers"):
        CheetahVel().scene()
