"""A prompted Decision Transformer at test time: each slot keeps the keys and values of its prompt and its last steps.

In NumPy, as the sessions of plain policies are: for a few slots and three tokens each, calls cost more than arithmetic.
So what is done to each token for itself is done to all slots' tokens at once, but every slot's products are computed
for themselves, in a shape that its own episode decides: an action does not depend on what other slots hold. (In one
product for all slots it would: with BLAS's kernels for AVX2, a row's last bits depend on where it stands.)

Keys and values of a step are computed once, from the steps that were in memory then. When the context is full, the
oldest steps are dropped and what stays is computed anew, so that nothing is remembered of steps that the network, as it
was trained, could not have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hyprepro.methods.decision_transformer.network import (
    STATE_TOKEN,
    TOKENS_A_STEP,
    CausalBlock,
    PromptedNetwork,
    StepEmbedding,
    Window,
)

Array = NDArray[np.float32]
Indices = NDArray[np.int64]
KEPT_ROWS = 2
"""Tokens of a slot that go through the last block to the end. One would do, but BLAS multiplies a single row in another
way, with other last bits than the same row among others."""
_LAST_AND_NOW = np.array([-1, 0])


class _Run(NamedTuple):
    """Neighbouring slots with equally many tokens.

    Attributes:
        slots: The slots.
        rows: Where their tokens are.
        shape: Number of slots and tokens of each.
    """

    slots: slice
    rows: slice
    shape: tuple[int, int]


def _runs(lengths: Sequence[int], first: int) -> list[_Run]:
    """The runs of slots from `first` on with so many tokens each."""
    found = []
    row = 0
    for length, equal in groupby(lengths):
        count = len(list(equal))
        found.append(_Run(slice(first, first + count), slice(row, row + count * length), (count, length)))
        first, row = first + count, row + count * length
    return found


class _Rows:
    """Tokens `[R, hidden]` of neighbouring slots, slot by slot, and where they stand.

    Args:
        first: The first slot.
        lengths: How many tokens each slot has.
        cells: Row of the memory `[slots * T]` that each token's key and value are written to `[R]`.
        later: Places that a token does not see, since they come after it `[R, 1, T]`.
    """

    def __init__(self, first: int, lengths: Sequence[int], cells: Indices, later: NDArray[np.bool_]) -> None:
        self.runs = _runs(lengths, first)
        self.cells = cells
        self._first, self._lengths, self.later = first, lengths, later

    def ends(self) -> tuple[Indices, _Rows]:
        """The last `KEPT_ROWS` tokens of every slot: which they are, and where they stand."""
        index = (np.cumsum(self._lengths)[:, None] - np.arange(KEPT_ROWS, 0, -1)).ravel()
        lengths = [KEPT_ROWS] * len(self._lengths)
        return index, _Rows(self._first, lengths, self.cells[index], self.later[index])


@dataclass(frozen=True)
class _Linear:
    weight: Array
    bias: Array

    @classmethod
    def of(cls, module: nn.Module) -> _Linear:
        assert isinstance(module, nn.Linear)
        return cls(np.ascontiguousarray(module.weight.detach().numpy().T), module.bias.detach().numpy())

    def __call__(self, x: Array) -> Array:
        """For `[..., t, in]`, with one product of t rows after the other."""
        product: Array = np.matmul(x, self.weight)
        product += self.bias
        return product

    def by_slot(self, x: Array, runs: list[_Run]) -> Array:
        """For tokens `[R, in]`, with one product a slot."""
        found = np.empty((len(x), len(self.bias)), np.float32)
        for run in runs:
            into = found[run.rows].reshape(*run.shape, -1)
            np.matmul(x[run.rows].reshape(*run.shape, -1), self.weight, out=into)
        found += self.bias
        return found


@dataclass(frozen=True)
class _Norm:
    weight: Array
    bias: Array
    epsilon: np.float32

    @classmethod
    def of(cls, module: nn.Module) -> _Norm:
        assert isinstance(module, nn.LayerNorm)
        return cls(module.weight.detach().numpy(), module.bias.detach().numpy(), np.float32(module.eps))

    def __call__(self, x: Array) -> Array:
        size = np.float32(x.shape[-1])
        mean = np.add.reduce(x, axis=-1, keepdims=True)  # `mean` itself is slower than all of this
        mean /= size
        normal: Array = x - mean
        variance = np.add.reduce(np.square(normal), axis=-1, keepdims=True)
        variance /= size
        variance += self.epsilon
        normal /= np.sqrt(variance, out=variance)
        normal *= self.weight
        normal += self.bias
        return normal


class _Embedding:
    """The tokens of steps: see `decision_transformer.StepEmbedding`."""

    def __init__(self, module: StepEmbedding) -> None:
        self._steps: Array = module.timestep.weight.detach().numpy()
        self._parts = [_Linear.of(part) for part in (module.returns, module.state, module.action)]

    def __call__(self, to_go: Array, states: Array, actions: Array, steps: Indices) -> Array:
        """Tokens `[..., 3, hidden]` in the order return-to-go, state, action."""
        tokens = np.empty((*steps.shape, TOKENS_A_STEP, self._steps.shape[1]), np.float32)
        for place, (part, x) in enumerate(zip(self._parts, (to_go, states, actions), strict=True)):
            tokens[..., place, :] = part(x)
        tokens += self._steps[steps][..., None, :]
        return tokens


class _Block:
    """See `decision_transformer.CausalBlock`."""

    def __init__(self, module: CausalBlock) -> None:
        self.heads = module.heads
        self._attention_norm, self._mlp_norm = _Norm.of(module.attention_norm), _Norm.of(module.mlp_norm)
        self._joined, self._out = _Linear.of(module.queries_keys_values), _Linear.of(module.attention_out)
        self._up, self._down = _Linear.of(module.mlp[0]), _Linear.of(module.mlp[2])

    def remember(self, tokens: Array, rows: _Rows, memory: Array) -> Array:
        """Write the keys and values of tokens `[R, hidden]` to the memory `[slots, T, 2, heads, d]`.

        Returns:
            Their queries `[R, heads, d]`.
        """
        joined = self._joined.by_slot(self._attention_norm(tokens), rows.runs).reshape(len(tokens), 3, self.heads, -1)
        memory.reshape(-1, *memory.shape[2:])[rows.cells] = joined[:, 1:]
        return joined[:, 0]

    def onward(self, tokens: Array, queries: Array, rows: _Rows, memory: Array) -> Array:
        """The next tokens `[R, hidden]`, from what all that came before has left in the memory."""
        tokens = tokens + self._out.by_slot(self._attended(queries, rows, memory), rows.runs)
        up = self._up.by_slot(self._mlp_norm(tokens), rows.runs)
        tokens += self._down.by_slot(np.maximum(up, 0, out=up), rows.runs)
        return tokens

    def _attended(self, queries: Array, rows: _Rows, memory: Array) -> Array:
        scores = np.empty((*queries.shape[:2], memory.shape[1]), np.float32)
        for run in rows.runs:
            keys = memory[run.slots, :, 0].transpose(0, 2, 3, 1)
            np.matmul(_by_head(queries, run), keys, out=_by_head(scores, run))
        scores *= np.float32(queries.shape[-1] ** -0.5)
        np.copyto(scores, -np.inf, where=rows.later)
        scores -= np.maximum.reduce(scores, axis=-1, keepdims=True)
        weights = np.exp(scores, out=scores)
        weights /= np.add.reduce(weights, axis=-1, keepdims=True)
        mixed = np.empty(queries.shape, np.float32)
        for run in rows.runs:
            np.matmul(_by_head(weights, run), memory[run.slots, :, 1].swapaxes(1, 2), out=_by_head(mixed, run))
        return mixed.reshape(len(mixed), -1)


def _by_head(x: Array, run: _Run) -> Array:
    """A run's part of `[R, heads, ...]` as a view `[slots, heads, t, ...]`."""
    return x[run.rows].reshape(*run.shape, *x.shape[1:]).swapaxes(1, 2)


class TransformerSession:
    """Episodes in slots, with one memory a slot; controllers have the same network, and each its prompt.

    Args:
        network: The trained network.
        prompts: The prompts, one a controller.
        memory: The most steps of an episode that are seen, at most the network's context; when it is full, the older
            half is dropped.
        slots: Number of slots.
    """

    def __init__(self, network: PromptedNetwork, prompts: Window, memory: int, slots: int) -> None:
        inner = network.network
        if inner.prompt_embed is None or not 2 <= memory <= inner.context:
            raise ValueError(f"a memory needs a prompt, and holds 2 to {inner.context} steps, not {memory}")
        self._prompts, self._context, self._last = prompts, memory, network.longest - 1
        self._kept = memory // 2
        self._shift, self._scale, self._wanted = (
            part.numpy() for part in (network.shift, network.scale, network.wanted)
        )
        self._embed, self._prompt_embed = _Embedding(inner.embed), _Embedding(inner.prompt_embed)
        self._embed_norm, self._norm = _Norm.of(inner.embed_norm), _Norm.of(inner.norm)
        self._blocks = [_Block(block) for block in inner.blocks if isinstance(block, CausalBlock)]
        self._action = _Linear.of(inner.action)
        self._before = TOKENS_A_STEP * prompts.states.shape[1]  # places of the prompt
        self._nowhere = self._before + TOKENS_A_STEP * memory  # a place that no token sees
        width, heads = inner.norm.normalized_shape[0], self._blocks[0].heads
        places = self._nowhere + 1
        self._places = np.arange(places)
        self._memory = np.zeros((len(self._blocks), slots, places, 2, heads, width // heads), np.float32)
        self._tokens = np.zeros((slots, TOKENS_A_STEP * memory, width), np.float32)  # of the steps in memory
        self._time = np.zeros(slots, np.int64)  # of the episode
        self._count = np.zeros(slots, np.int64)  # steps in memory
        sizes = (1, len(self._shift), inner.action.out_features)
        # Returns-to-go, states and actions of the last step and of this one.
        self._inputs = [np.zeros((slots, 2, size), np.float32) for size in sizes]

    def assign(self, slot: int, row: int) -> None:
        """Begin an episode with the prompt `row`."""
        self._time[slot] = self._count[slot] = 0
        # What is not seen has a weight of zero, which does not silence what is not finite.
        self._memory[:, slot] = 0
        for part in self._inputs:
            part[slot] = 0
        prompt = self._prompts
        to_go, states, actions, steps = (
            part[row : row + 1].numpy() for part in (prompt.to_go, prompt.states, prompt.actions, prompt.steps)
        )
        tokens = self._prompt_embed(to_go, (states - self._shift) / self._scale, actions, steps)
        places = self._places[: self._before]
        later = self._places > places[:, None, None]
        rows = _Rows(slot, [self._before], slot * len(self._places) + places, later)
        self._remembered(tokens.reshape(self._before, -1), rows)

    def act(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """The next action of every slot's episode."""
        full = self._count == self._context
        if full.any():
            kept = TOKENS_A_STEP * self._kept
            self._tokens[full, :kept] = self._tokens[full, -kept:]
            self._count[full] = self._kept
        self._take_in(observations)
        now = TOKENS_A_STEP * self._count
        first = np.where(full, 0, now - 1)  # what stays is computed anew; else from the action before on
        lengths = (now + STATE_TOKEN + 1 - first).tolist()
        slots = np.repeat(np.arange(len(now)), lengths)
        at = np.concatenate([np.arange(start, start + length) for start, length in zip(first, lengths, strict=True)])
        places = np.where(at < 0, self._nowhere, self._before + at)
        rows = _Rows(0, lengths, slots * len(self._places) + places, self._places > places[:, None, None])
        tokens, queries = self._remembered(self._tokens[slots, at], rows)
        index, ends = rows.ends()
        last = self._blocks[-1].onward(tokens[index], queries[index], ends, self._memory[-1])
        states = last.reshape(len(now), KEPT_ROWS, -1)[:, -1:]
        found: Array = np.tanh(self._action(self._norm(states)))[:, 0]
        self._inputs[2][:, 1] = found
        self._time += 1
        self._count += 1
        return found

    def observe(self, rewards: NDArray[np.float64]) -> None:
        """Nothing is done with them: returns-to-go fall along the training episodes' mean."""

    def _take_in(self, observations: NDArray[np.float32]) -> None:
        """The tokens of this step's return-to-go and state, and of the action before."""
        steps = np.minimum(np.maximum(self._time[:, None] + _LAST_AND_NOW, 0), self._last)
        to_go, states, actions = self._inputs
        for part in self._inputs:
            part[:, 0] = part[:, 1]
        to_go[:, 1, 0] = self._wanted[steps[:, 1]]
        states[:, 1] = (observations - self._shift) / self._scale
        actions[:, 1] = 0
        tokens = self._embed(to_go, states, actions, steps).reshape(len(steps), 2 * TOKENS_A_STEP, -1)[:, 2:5]
        # What stands before an episode's first step goes to place -1, the last one, which is written before it is read.
        at = TOKENS_A_STEP * self._count[:, None] + np.arange(-1, STATE_TOKEN + 1)
        self._tokens[np.arange(len(steps))[:, None], at] = self._embed_norm(tokens)

    def _remembered(self, tokens: Array, rows: _Rows) -> tuple[Array, Array]:
        """Write what all blocks remember of tokens `[R, hidden]`; returns the last one's inputs and queries."""
        *blocks, last = self._blocks
        for block, memory in zip(blocks, self._memory, strict=False):
            tokens = block.onward(tokens, block.remember(tokens, rows, memory), rows, memory)
        return tokens, last.remember(tokens, rows, self._memory[-1])
