"""A prompted Decision Transformer at test time: each slot keeps the keys and values of its prompt and its last steps.

In NumPy, as the sessions of plain policies are: for a few slots and three tokens each, calls cost more than arithmetic.
Every slot's products are computed for themselves, so an action does not depend on what other slots hold.

Keys and values of a step are computed once, from the steps that were in memory then. When the context is full, the
oldest steps are dropped and what stays is computed anew, so that nothing is remembered of steps that the network, as it
was trained, could not have seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hyprepro.models.networks.decision_transformer import TOKENS_A_STEP, CausalBlock, StepEmbedding
from hyprepro.models.networks.prompted_transformer import PromptedNetwork, Window

Array = NDArray[np.float32]


@dataclass(frozen=True)
class _Linear:
    weight: Array
    bias: Array

    @classmethod
    def of(cls, module: nn.Module) -> _Linear:
        assert isinstance(module, nn.Linear)
        return cls(np.ascontiguousarray(module.weight.detach().numpy().T), module.bias.detach().numpy())

    def __call__(self, x: Array) -> Array:
        product: Array = np.matmul(x, self.weight)
        product += self.bias
        return product


@dataclass(frozen=True)
class _Norm:
    weight: Array
    bias: Array
    epsilon: float

    @classmethod
    def of(cls, module: nn.Module) -> _Norm:
        assert isinstance(module, nn.LayerNorm)
        return cls(module.weight.detach().numpy(), module.bias.detach().numpy(), module.eps)

    def __call__(self, x: Array) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        normal: Array = centred / np.sqrt(variance + np.float32(self.epsilon)) * self.weight + self.bias
        return normal


class _Embedding:
    """The tokens of steps: see `decision_transformer.StepEmbedding`."""

    def __init__(self, module: StepEmbedding) -> None:
        self._steps: Array = module.timestep.weight.detach().numpy()
        self._parts = [_Linear.of(part) for part in (module.returns, module.state, module.action)]

    def __call__(self, to_go: Array, states: Array, actions: Array, steps: NDArray[np.int64]) -> Array:
        """Tokens `[..., 3, hidden]` in the order return-to-go, state, action."""
        parts = [part(x) for part, x in zip(self._parts, (to_go, states, actions), strict=True)]
        tokens: Array = np.stack(parts, axis=-2)
        tokens += self._steps[steps][..., None, :]
        return tokens


class _Block:
    """See `decision_transformer.CausalBlock`."""

    def __init__(self, module: CausalBlock) -> None:
        self.heads = module.heads
        self._attention_norm, self._mlp_norm = _Norm.of(module.attention_norm), _Norm.of(module.mlp_norm)
        self._joined, self._out = _Linear.of(module.queries_keys_values), _Linear.of(module.attention_out)
        self._up, self._down = _Linear.of(module.mlp[0]), _Linear.of(module.mlp[2])

    def __call__(self, tokens: Array, keys: Array, values: Array, places: NDArray[np.int64]) -> Array:
        """The next tokens of those `[B, t, hidden]` at `places` `[B, t]`, ascending.

        Args:
            tokens: What comes in.
            keys: Memory `[B, heads, T, d]`; those of the tokens are written at their places.
            values: The same.
            places: Where each token stands; it sees all places up to its own.
        """
        count, length, width = tokens.shape
        joined = self._joined(self._attention_norm(tokens)).reshape(count, length, 3, self.heads, -1)
        rows = np.arange(count)[:, None]
        keys[rows, :, places] = joined[:, :, 1]
        values[rows, :, places] = joined[:, :, 2]
        queries = joined[:, :, 0].transpose(0, 2, 1, 3)
        scores: Array = np.matmul(queries, keys.swapaxes(-1, -2))
        scores *= np.float32(queries.shape[-1] ** -0.5)
        later = np.arange(keys.shape[2]) > places[:, None, :, None]
        np.copyto(scores, -np.inf, where=later)
        scores -= scores.max(axis=-1, keepdims=True)
        weights = np.exp(scores, out=scores)
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed = np.matmul(weights, values).transpose(0, 2, 1, 3).reshape(count, length, width)
        tokens = tokens + self._out(mixed)
        up = self._up(self._mlp_norm(tokens))
        tokens += self._down(np.maximum(up, 0, out=up))
        return tokens


class TransformerControllers:
    """One controller a prompt, all with the same network.

    Args:
        network: The trained network.
        prompts: The prompts, one a controller.
        memory: The most steps of an episode that are seen, at most the network's context; when it is full, the older
            half is dropped.
    """

    def __init__(self, network: PromptedNetwork, prompts: Window, memory: int) -> None:
        self._network = network
        self._prompts = prompts
        self._memory = memory

    @property
    def n(self) -> int:
        """Number of prompts."""
        return len(self._prompts.states)

    def representatives(self) -> NDArray[np.int64]:
        """Each stands for itself: no two prompts are alike."""
        return np.arange(self.n)

    def session(self, slots: int) -> TransformerSession:
        """A session with one memory a slot."""
        return TransformerSession(self._network, self._prompts, self._memory, slots)


class TransformerSession:
    """Episodes in slots; arguments as for `TransformerControllers`."""

    def __init__(self, network: PromptedNetwork, prompts: Window, memory: int, slots: int) -> None:
        inner = network.network
        if inner.prompt_embed is None or not 2 <= memory <= inner.context:
            raise ValueError(f"a memory needs a prompt, and holds 2 to {inner.context} steps, not {memory}")
        self._network, self._prompts, self._context, self._kept = network, prompts, memory, memory // 2
        self._shift, self._scale, self._wanted = (
            part.numpy() for part in (network.shift, network.scale, network.wanted)
        )
        self._embed, self._prompt_embed = _Embedding(inner.embed), _Embedding(inner.prompt_embed)
        self._embed_norm, self._norm = _Norm.of(inner.embed_norm), _Norm.of(inner.norm)
        self._blocks = [_Block(block) for block in inner.blocks if isinstance(block, CausalBlock)]
        self._action = _Linear.of(inner.action)
        self._before = TOKENS_A_STEP * prompts.states.shape[1]  # places of the prompt
        self._nowhere = self._before + TOKENS_A_STEP * self._context  # a place that no token sees
        width, heads = inner.norm.normalized_shape[0], self._blocks[0].heads
        shape = (len(self._blocks), slots, heads, self._nowhere + 1, width // heads)
        self._keys, self._values = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self._time = np.zeros(slots, np.int64)  # of the episode
        self._count = np.zeros(slots, np.int64)  # steps in memory
        sizes = (1, len(self._shift), inner.action.out_features)
        self._memory = [np.zeros((slots, self._context, size), np.float32) for size in sizes]  # to-go, states, actions
        self._steps = np.zeros((slots, self._context), np.int64)

    def assign(self, slot: int, row: int) -> None:
        """Begin an episode with the prompt `row`."""
        self._time[slot] = self._count[slot] = 0
        prompt = self._prompts
        to_go, states, actions, steps = (
            part[row : row + 1].numpy() for part in (prompt.to_go, prompt.states, prompt.actions, prompt.steps)
        )
        tokens = self._prompt_embed(to_go, (states - self._shift) / self._scale, actions, steps)
        self._through(tokens.reshape(1, self._before, -1), np.arange(self._before)[None], slice(slot, slot + 1))

    def act(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """The next action of every slot's episode."""
        for slot in np.flatnonzero(self._count == self._context):
            self._forget(int(slot))
        slots, now = np.arange(len(self._count)), self._count
        step = np.minimum(self._time, self._network.longest - 1)
        to_go, states, actions = self._memory
        to_go[slots, now, 0] = self._wanted[step]
        states[slots, now] = (observations - self._shift) / self._scale
        actions[slots, now] = 0
        self._steps[slots, now] = step
        both = np.stack([np.maximum(now - 1, 0), now], axis=1)
        tokens = self._tokens(slots[:, None], both)[:, 2:5]  # the action before, the return-to-go, the state
        places = self._before + TOKENS_A_STEP * now[:, None] + np.arange(-1, 2)
        places[now == 0, 0] = self._nowhere
        last = self._through(tokens, places, slice(None))[:, -1:]
        found: Array = np.tanh(self._action(self._norm(last)))[:, 0]
        actions[slots, now] = found
        self._time += 1
        self._count += 1
        return found

    def _forget(self, slot: int) -> None:
        """Drop the oldest steps of a full memory and compute what stays anew."""
        stays = slice(self._context - self._kept, None)
        self._steps[slot, : self._kept] = self._steps[slot, stays].copy()
        for memory in self._memory:
            memory[slot, : self._kept] = memory[slot, stays].copy()
        self._count[slot] = self._kept
        tokens = self._tokens(np.array([[slot]]), np.arange(self._kept)[None])
        places = self._before + np.arange(tokens.shape[1])[None]
        self._through(tokens, places, slice(slot, slot + 1))

    def _tokens(self, slots: NDArray[np.int64], at: NDArray[np.int64]) -> Array:
        """The tokens `[B, 3 k, hidden]` of steps in memory."""
        to_go, states, actions = (memory[slots, at] for memory in self._memory)
        tokens = self._embed(to_go, states, actions, self._steps[slots, at])
        return self._embed_norm(tokens.reshape(len(at), TOKENS_A_STEP * at.shape[1], -1))

    def _through(self, tokens: Array, places: NDArray[np.int64], slots: slice) -> Array:
        for block, keys, values in zip(self._blocks, self._keys, self._values, strict=True):
            tokens = block(tokens, keys[slots], values[slots], places)
        return tokens
