"""The quaternion of a rotation matrix, bit for bit as scipy computes it, without the cost of its generality."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

_SKEW = 5e-13
"""Products of different rows above which scipy might make the matrix orthogonal first (it does above 1e-12)."""

_LENGTH = 5e-6
"""The same for how far a row's squared length is from 1 (scipy: 1e-5)."""


def quaternion(matrix: NDArray[np.float64]) -> Sequence[float]:
    """`Rotation.from_matrix(matrix).as_quat()`: x, y, z, w.

    Args:
        matrix: Nine numbers, row by row, of a rotation (not a reflection), as MuJoCo makes them of unit quaternions.

    Raises:
        ValueError: Not a rotation.
    """
    if not _same_as_scipy():
        return _scipy(matrix)
    a, b, c, d, e, f, g, h, i = matrix.tolist()
    if not (
        abs(a * d + b * e + c * f) < _SKEW
        and abs(a * g + b * h + c * i) < _SKEW
        and abs(d * g + e * h + f * i) < _SKEW
        and abs(a * a + b * b + c * c - 1.0) < _LENGTH
        and abs(d * d + e * e + f * f - 1.0) < _LENGTH
        and abs(g * g + h * h + i * i - 1.0) < _LENGTH
    ):
        return _scipy(matrix)
    return _direct(a, b, c, d, e, f, g, h, i)


def _direct(
    a: float, b: float, c: float, d: float, e: float, f: float, g: float, h: float, i: float
) -> tuple[float, float, float, float]:
    """Of an orthogonal matrix, in scipy's order of operations: the largest of four numbers decides which formula."""
    trace = a + e + i
    if trace > a and trace > e and trace > i:
        x, y, z, w = h - f, c - g, d - b, 1 + trace
    elif a >= e and a >= i:
        x, y, z, w = 1 - trace + 2 * a, d + b, g + c, h - f
    elif e >= i:
        x, y, z, w = d + b, 1 - trace + 2 * e, h + f, c - g
    else:
        x, y, z, w = g + c, h + f, 1 - trace + 2 * i, d - b
    length = math.sqrt(x * x + y * y + z * z + w * w)
    return x / length, y / length, z / length, w / length


def _scipy(matrix: NDArray[np.float64]) -> list[float]:
    from scipy.spatial.transform import Rotation

    found: list[float] = Rotation.from_matrix(matrix.reshape(3, 3)).as_quat().tolist()
    return found


@cache
def _same_as_scipy() -> bool:
    """Whether the installed scipy, whose code is compiled, rounds as `_direct` does: tried on 400 rotations."""
    from scipy.spatial.transform import Rotation

    turns = np.random.default_rng(0).normal(size=(400, 4))
    turns[::4] *= 10.0 ** -np.arange(4)  # and some that turn about an axis
    matrices = Rotation.from_quat(turns).as_matrix()
    wanted = Rotation.from_matrix(matrices).as_quat().tolist()
    return bool([list(_direct(*matrix.ravel().tolist())) for matrix in matrices] == wanted)
