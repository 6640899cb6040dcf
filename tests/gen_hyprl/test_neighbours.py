"""Neighbouring parameters: single numbers in succession, points of a plane, and places between them."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest

from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.neighbours import Parameter, Ranges, nearest, neighbours, place, ranges_of
from hyprepro.methods.cloning import ConditionedCloning
from hyprepro.methods.gen_hyprl import GenHypRL
from tests.cheetah_stores import CheetahStores

SPEEDS = ((0.375,), (1.05,), (1.5,), (2.325,))
SQUARE: tuple[Parameter, ...] = ((0.0, 0.0), (1.0, 0.0), (0.0, 10.0), (1.0, 10.0), (0.5, 5.0))
SPEED, SIDES = ((0.0, 3.0),), ((0.0, 1.0), (0.0, 10.0))


@pytest.mark.parametrize("seed", range(3))
def test_single_numbers_are_neighbours_in_succession_whatever_their_order(seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(SPEEDS))
    found = neighbours([SPEEDS[index] for index in order], SPEED)
    assert {frozenset((int(order[one]), int(order[other]))) for one, other in found} == {
        frozenset(pair) for pair in pairwise(range(len(SPEEDS)))
    }


def test_points_are_neighbours_unless_a_third_lies_between() -> None:
    center, corners = 4, range(4)
    found = neighbours(SQUARE, SIDES)
    assert {pair for pair in found if center in pair} == {(corner, center) for corner in corners}
    assert not {(0, 3), (1, 2)} & set(found), "the center lies between opposite corners"


@pytest.mark.parametrize(
    ("target", "found"),
    [(1.2, (1, 2, 1 / 3)), (1.5, (2, 2, 0.0)), (0.375, (0, 0, 0.0)), (0.1, (0, 0, 0.0)), (2.9, (3, 3, 0.0))],
)
def test_the_place_of_a_number(target: float, found: tuple[int, int, float]) -> None:
    assert place(SPEEDS, (target,), SPEED) == pytest.approx(found)


def test_the_place_of_a_point_and_of_one_that_has_no_neighbours() -> None:
    assert place(SQUARE, (0.25, 2.5), SIDES) == pytest.approx((0, 4, 0.5))
    assert place(SQUARE, (-1.0, 20.0), SIDES) == (2, 2, 0.0)
    assert place(SPEEDS[:1], (2.0,), SPEED) == (0, 0, 0.0)


@pytest.mark.parametrize(("target", "index"), [(1.2, 1), (1.35, 2), (0.0, 0), (3.0, 3), (1.275, 1)])
def test_the_nearest_number_and_of_two_the_smaller(target: float, index: int) -> None:
    assert nearest(SPEEDS, (target,), SPEED) == index


def test_ranges_make_numbers_of_different_units_comparable() -> None:
    points = ((0.0, 0.0), (0.9, 5.0))
    assert nearest(points, (0.0, 4.0), SIDES) == 0
    assert nearest(points, (0.0, 4.0), ((0.0, 100.0), (0.0, 10.0))) == 1


def test_a_domain_states_the_range_of_each_of_its_numbers(cheetah_stores: CheetahStores) -> None:
    class Unranged(CheetahVel):
        ranges: ClassVar[Ranges] = ()

        def checked_parameter(self, parameter: tuple[float, ...]) -> tuple[float, ...]:
            return parameter

    data = cheetah_stores.domain.data()
    assert ranges_of(data) == ((0.0, 3.0),)
    bare = dataclasses.replace(data, domain=Unranged())
    for method in (GenHypRL(), ConditionedCloning()):
        with pytest.raises(UserError, match="by 1 numbers and states the ranges of 0") as caught:
            method.training(bare, 0)
        assert caught.value.where == "Unranged.ranges"
