"""The quaternion of a matrix against scipy's, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hyprepro.domains.metaworld.stepper import quaternion


def test_is_scipys_for_rotations_of_every_kind() -> None:
    rng = np.random.default_rng(3)
    turns = rng.normal(size=(3000, 4))
    turns[::5, :2] *= 1e-9  # about the vertical, as a puck on a table
    turns[1::5, 3] = 0.0  # half turns
    turns[:4] = np.eye(4)
    for matrix in Rotation.from_quat(turns).as_matrix():
        assert list(quaternion(matrix.ravel())) == Rotation.from_matrix(matrix).as_quat().tolist()


@pytest.mark.parametrize("size", [1e-13, 1e-11, 1e-7, 1e-3])
def test_is_scipys_where_scipy_makes_a_matrix_orthogonal_first(size: float) -> None:
    rng = np.random.default_rng(4)
    for turn in Rotation.random(200, rng=rng):
        matrix = turn.as_matrix() + size * rng.normal(size=(3, 3))
        assert list(quaternion(matrix.ravel())) == Rotation.from_matrix(matrix).as_quat().tolist()


def test_what_is_no_rotation_is_refused_as_scipy_does() -> None:
    with pytest.raises(ValueError, match="determinant"):
        quaternion(np.zeros(9))
