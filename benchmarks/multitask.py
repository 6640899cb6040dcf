"""What an update of multi-task SAC costs beside its own matrix products, and the memory that training takes."""

from __future__ import annotations

import multiprocessing
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.collector import rate
from hyprepro.collect.sac.replay import Room, replay_sizes
from hyprepro.collect.sac.update import Batch
from hyprepro.config.registry import resolve
from hyprepro.engine.executors import WORKER_ENVIRONMENT, variables
from hyprepro.experiments.recipe import Recipe
from hyprepro.methods.multitask.architecture import Sizes
from hyprepro.methods.multitask.learner import MultiTaskLearner
from hyprepro.methods.multitask.method import Learning, MultiTask
from hyprepro.policies.layout import METAWORLD_LAYOUT

_PRODUCTS: dict[Any, Callable[..., Any]] = {
    torch.ops.aten.mm.default: torch.mm,
    torch.ops.aten.addmm.default: torch.addmm,
    torch.ops.aten.bmm.default: torch.bmm,
    torch.ops.aten.baddbmm.default: torch.baddbmm,
}
_SENTENCE = 256
"""Length of a description's vector."""


def learnings(scale: str) -> dict[str, Learning]:
    """What the recipe `multitask` trains at a scale, by row."""
    recipe = resolve("multitask", scale).recipe
    assert isinstance(recipe, Recipe)
    return {method.name: method.learning for method in recipe.methods if isinstance(method, MultiTask)}


def measure_multitask(found: dict[str, Learning], tasks: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Updates a second of each method, and of nothing but the matrix products of its update, in turn.

    In a process like those that train (what glibc gives back and takes anew there is part of an update), on one thread,
    in its processor time. The products are those that an update was seen to make, each again with the same shapes and
    strides, into memory that is there.

    Args:
        found: What is trained, by row.
        tasks: A.
        rounds: Turns of each; medians count.
        seconds: Length of a turn.

    Returns:
        By row `ours` and `bound` in updates a second, `times` (how many times its products an update takes),
        `parameters`, `state_mb` (networks, targets, moments), `saved_mb` (what an update keeps for its way back
        beside these, the critics' part and the actor's together), `replay_mb` (transitions, in a mapped file).
    """
    context = multiprocessing.get_context("spawn")
    with variables(WORKER_ENVIRONMENT), context.Pool(1) as pool:
        return {name: pool.apply(_measured, (each, tasks, rounds, seconds)) for name, each in found.items()}


def _measured(learning: Learning, tasks: int, rounds: int, seconds: float) -> dict[str, Any]:
    sac, update = _learner(learning, tasks)
    products, saved = _seen(update)
    speeds: dict[str, list[float]] = {"ours": [], "bound": []}
    for _ in range(rounds):
        for name, call in (("ours", update), ("bound", products)):
            speeds[name].append(rate(call, seconds))
    ours, bound = (statistics.median(speeds[name]) for name in ("ours", "bound"))
    layout, training = METAWORLD_LAYOUT, learning.training
    width = sum(replay_sizes(layout.observation_size, layout.action_size).values())
    room = Room.of(training.replay, training.steps, training.episode_steps)
    return {
        "ours": round(ours, 1),
        "bound": round(bound, 1),
        "times": round(bound / ours, 2),
        "parameters": sum(tensor.numel() for part in (sac.actor, sac.critic) for tensor in part.values()),
        "state_mb": _megabytes(sac.tensors()),
        "saved_mb": _megabytes(saved, beside=sac.tensors()),
        "replay_mb": round(4 * width * tasks * room.slots / 1e6, 1),
    }


def _megabytes(tensors: Sequence[Tensor], beside: Sequence[Tensor] = ()) -> float:
    """Of memory that tensors share what is counted once, and what others hold not at all."""
    sizes, others = _sizes(tensors), _sizes(beside)
    return round(sum(size for place, size in sizes.items() if place not in others) / 1e6, 1)


def _sizes(tensors: Sequence[Tensor]) -> dict[int, int]:
    """Bytes of each piece of memory, by where it lies."""
    return {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}


def _learner(learning: Learning, tasks: int) -> tuple[MultiTaskLearner, Callable[[], Any]]:
    """A learner, and its update of a batch."""
    layout, size = METAWORLD_LAYOUT, learning.training.sac.batch_size
    torch.manual_seed(0)
    told = torch.eye(tasks) if learning.descriptions is None else torch.randn(tasks, _SENTENCE)
    networks: Any = learning.architecture.build(Sizes(layout.observation_size, layout.action_size, told.shape[1]))
    sac = MultiTaskLearner(
        learning.training.sac, learning.architecture, networks, told, learning.gradient, learning.balanced,
        action_size=layout.action_size,
    )  # fmt: skip

    def drawn(*shape: int) -> Tensor:
        return torch.randn(tasks, size, *shape)

    seen, actions = (layout.observation_size,), (layout.action_size,)
    batch = Batch(
        drawn(*seen), drawn(*actions).tanh(), drawn(), drawn(*seen), drawn().abs() * 0, drawn(*actions).tanh()
    )
    return sac, partial(sac.update, batch, drawn(*actions), drawn(*actions))


def _seen(update: Callable[[], Any]) -> tuple[Callable[[], None], list[Tensor]]:
    """What an update does: its matrix products, to be done again, and what it keeps for the way back."""
    saved: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    products = _Products()
    update()
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        update()
    with products:
        update()
    return products.again, saved


def _like(tensor: Tensor) -> Tensor:
    """Other numbers that lie in memory as these do, one number for many places where these do so."""
    length = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return torch.randn(length).as_strided(tensor.shape, tensor.stride())


class _Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Takes down the matrix products of what runs in it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._calls: list[Callable[[], Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _PRODUCTS:
            inputs = [_like(each) for each in args]
            into = torch.empty_strided(result.shape, result.stride())
            self._calls.append(partial(_PRODUCTS[func], *inputs, out=into))
        return result

    @torch.no_grad()
    def again(self) -> None:
        """All of them once."""
        for call in self._calls:
            call()
