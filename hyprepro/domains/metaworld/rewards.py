"""metaworld's rewards by metaworld's own code, with shorter ways to the numbers that it asks for.

The functions that make a reward run as they are written. What they call for a norm, for `tolerance` of one number, for
the middle of the fingers and for the position of the object gives the same bits, without the cost of its generality.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import cache
from types import CellType, FunctionType, SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Evaluate = Callable[[Array, NDArray[Any]], tuple[Any, dict[str, Any]]]

_MAKERS = ("evaluate_state", "compute_reward", "_reward_pos")
"""The methods that are run so; others that they call are left alone."""

_AT_MARGIN = 0.1
_LONG_TAIL = float(np.sqrt(1 / _AT_MARGIN - 1))
_GAUSSIAN = float(np.sqrt(-2 * np.log(_AT_MARGIN)))


def evaluation(env: Any, place: Array | None) -> Evaluate:
    """The environment's `evaluate_state`.

    Args:
        env: A metaworld environment. Its attributes are read and written as by its own method.
        place: A view of where its object is right after a step `[3]`; None leaves that to its own method.
    """
    kind = type(env)
    right, left = (env.data.site_xpos[env.model.site(f"{side}EndEffector").id] for side in ("right", "left"))
    names: dict[str, Any] = {"tcp_center": property(lambda _: (right + left) / 2.0)}
    if place is not None:
        names["_get_pos_objects"] = lambda _: place.copy()
    nearer = type(kind.__name__, (kind,), names)
    for name in _MAKERS:
        method = inspect.getattr_static(kind, name, None)
        if isinstance(method, staticmethod):
            setattr(nearer, name, staticmethod(_nearer(method.__func__, nearer)))
        elif inspect.isfunction(method):
            setattr(nearer, name, _nearer(method, nearer))
    same: Any = object.__new__(nearer)
    same.__dict__ = env.__dict__  # one set of attributes, and two classes to see it by
    evaluate: Evaluate = same.evaluate_state
    return evaluate


def _nearer(function: Any, owner: type) -> FunctionType:
    """The same code, and that of the function it wraps, among other globals; its own class's name means `owner`."""
    cells = tuple(
        CellType(_nearer(cell.cell_contents, owner)) if inspect.isfunction(cell.cell_contents) else cell
        for cell in function.__closure__ or ()
    )
    around = {**function.__globals__, **_replacements(), owner.__name__: owner}
    same = FunctionType(function.__code__, around, function.__name__, function.__defaults__, cells)
    same.__kwdefaults__ = function.__kwdefaults__
    return same


@cache
def _replacements() -> dict[str, Any]:
    """What the functions find where they look for numpy and for metaworld's `reward_utils`."""
    from metaworld.utils import reward_utils

    numpy = SimpleNamespace(**{**vars(np), "linalg": SimpleNamespace(**{**vars(np.linalg), "norm": norm})})
    if not _rounds_alike():
        return {"np": numpy}
    return {"np": numpy, "reward_utils": SimpleNamespace(**{**vars(reward_utils), "tolerance": tolerance})}


def norm(x: Any, *others: Any, **named: Any) -> Any:
    """`numpy.linalg.norm`, faster for a vector and for a number of 64 bits."""
    if not others and not named:
        if type(x) is np.ndarray and x.ndim == 1 and x.dtype == np.float64 and x.flags.c_contiguous:
            return np.float64(math.sqrt(x.dot(x)))
        if type(x) is np.float64:
            return np.float64(math.sqrt(x * x))
    return np.linalg.norm(x, *others, **named)


def tolerance(
    x: Any,
    bounds: tuple[float, float] = (0.0, 0.0),
    margin: Any = 0.0,
    sigmoid: Any = "gaussian",
    value_at_margin: float = _AT_MARGIN,
) -> Any:
    """`reward_utils.tolerance`, faster for one number of 64 bits and the two sigmoids that rewards use."""
    if (
        type(x) in _NUMBERS
        and type(margin) in _NUMBERS
        and margin >= 0
        and bounds[0] <= bounds[1]
        and value_at_margin == _AT_MARGIN
        and sigmoid in ("long_tail", "gaussian")
    ):
        try:
            return _of_one(float(x), *bounds, float(margin), sigmoid)
        except OverflowError:  # numpy makes it infinite
            pass
    from metaworld.utils import reward_utils

    return reward_utils.tolerance(x, bounds, margin, sigmoid, value_at_margin)


_NUMBERS = frozenset((float, np.float64))


def _of_one(x: float, lower: float, upper: float, margin: float, sigmoid: str) -> float:
    if lower <= x <= upper:
        return 1.0
    if margin == 0:
        return 0.0
    distance = (lower - x if x < lower else x - upper) / margin
    if sigmoid == "long_tail":
        return float(1 / ((distance * _LONG_TAIL) ** 2 + 1))
    return float(np.exp(-0.5 * (distance * _GAUSSIAN) ** 2))


@cache
def _rounds_alike() -> bool:
    """Whether the squares here round as numpy's do, whose code is compiled: tried on 2,000 numbers."""
    from metaworld.utils import reward_utils

    rng = np.random.default_rng(0)
    numbers = (rng.uniform(0.0, 1.0, 1000) * 10.0 ** rng.integers(-6, 1, 1000)).tolist()
    margins = rng.uniform(0.01, 1.0, 1000).tolist()
    return all(
        tolerance(x, (0, 0.005), margin, sigmoid) == reward_utils.tolerance(x, (0, 0.005), margin, sigmoid)
        for sigmoid in ("long_tail", "gaussian")
        for x, margin in zip(numbers, margins, strict=True)
    )
