"""The causal transformer over (return-to-go, state, action) of Decision Transformer and of Prompt-DT.

Chen et al. 2021 put a GPT-2 without position embeddings on the tokens R_1, s_1, a_1, R_2, s_2, ...; each step's three
tokens share a learned embedding of the step's number in the episode, and a_t is read off the output at s_t. Xu et al.
2022 put a short piece of a trajectory of the task before them, in the same form but with embeddings of its own.
Left out: the heads for the next state and return, which neither paper trains. Both prompted transformers stand here
with what they need at test time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from hyprepro.stores.prompts import ACTIONS_PER_BLOCK, BLOCKS, Prompts

Segment = tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]
"""Steps of trajectories: states `[B, K, S]`, actions `[B, K, A]`, returns-to-go `[B, K, 1]`, numbers of the steps in
their episodes `[B, K]` (int64, from 0), and which of them are real `[B, K]` (bool; None: all)."""
TOKENS_A_STEP = 3
STATE_TOKEN = 1
GPT2_STD = 0.02
"""GPT-2 draws the weights of its blocks with this standard deviation, and starts its biases at zero."""


class DecisionTransformer(nn.Module):
    """Predicts the action at each step of a window, from nothing later than that step's state.

    Args:
        state_size: S.
        action_size: A.
        hidden: Width of the tokens.
        layers: Number of transformer blocks.
        heads: Attention heads a block; must divide `hidden`.
        context: The most steps that a window may have (K).
        max_length: Length of the longest episode; steps are numbered from 0 to `max_length - 1`.
        dropout: Share dropped of embeddings, attention weights and block outputs in training.
        prompt: Whether windows may be preceded by a prompt.
    """

    def __init__(
        self,
        state_size: int,
        action_size: int,
        hidden: int,
        layers: int,
        heads: int,
        context: int,
        max_length: int,
        dropout: float,
        prompt: bool = False,
    ) -> None:
        super().__init__()
        self.context = context
        self.embed = StepEmbedding(state_size, action_size, hidden, max_length)
        self.prompt_embed = StepEmbedding(state_size, action_size, hidden, max_length) if prompt else None
        self.embed_norm = nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList([CausalBlock(hidden, heads, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(hidden)
        self.action = nn.Linear(hidden, action_size)

    def forward(
        self,
        states: Tensor,
        actions: Tensor,
        returns_to_go: Tensor,
        timesteps: Tensor,
        mask: Tensor | None = None,
        prompt: Segment | None = None,
    ) -> Tensor:
        """Predicted actions `[B, K, A]` in (-1, 1); those at steps that are not real mean nothing.

        Args:
            states: `[B, K, S]`, scaled as in training.
            actions: `[B, K, A]`; the action of a step influences later steps only, so the last one may be anything.
            returns_to_go: `[B, K, 1]`, scaled as in training.
            timesteps: `[B, K]`.
            mask: `[B, K]`, true where a step is real; None: everywhere.
            prompt: Steps of another trajectory of the task, for the same B; seen by all steps of the window.

        Raises:
            ValueError: If the window is longer than `context`, or there is a prompt and the network takes none.
        """
        steps = states.shape[1]
        if steps > self.context:
            raise ValueError(f"a window of {steps} steps does not fit into a context of {self.context}")
        # As in the release of Prompt-DT, the window's tokens are normalised and the prompt's are not.
        tokens = self.embed_norm(self.embed(states, actions, returns_to_go, timesteps))
        real = mask
        if prompt is not None:
            tokens = torch.cat([self._prompt_tokens(prompt), tokens], dim=1)
            real = _joined(prompt[4], mask, prompt[0], states)
        tokens = self.dropout(tokens)
        allowed = None if real is None else _allowed(real.repeat_interleave(TOKENS_A_STEP, dim=1))
        for block in self.blocks:
            tokens = block(tokens, allowed)
        at_states = tokens[:, -TOKENS_A_STEP * steps :][:, STATE_TOKEN::TOKENS_A_STEP]
        return cast(Tensor, self.action(self.norm(at_states))).tanh()

    def _prompt_tokens(self, prompt: Segment) -> Tensor:
        if self.prompt_embed is None:
            raise ValueError("this transformer was built without prompts")
        return cast(Tensor, self.prompt_embed(*prompt[:4]))


class StepEmbedding(nn.Module):
    """The three tokens of each step.

    Args:
        state_size: S.
        action_size: A.
        hidden: Width of the tokens.
        max_length: Number of different step numbers.
    """

    def __init__(self, state_size: int, action_size: int, hidden: int, max_length: int) -> None:
        super().__init__()
        self.timestep = nn.Embedding(max_length, hidden)
        self.returns = nn.Linear(1, hidden)
        self.state = nn.Linear(state_size, hidden)
        self.action = nn.Linear(action_size, hidden)

    def forward(self, states: Tensor, actions: Tensor, returns_to_go: Tensor, timesteps: Tensor) -> Tensor:
        """Tokens `[B, 3 K, hidden]` in the order R_1, s_1, a_1, R_2, ..."""
        tokens = torch.stack([self.returns(returns_to_go), self.state(states), self.action(actions)], dim=2)
        return cast(Tensor, tokens + self.timestep(timesteps)[:, :, None]).flatten(1, 2)


class CausalBlock(nn.Module):
    """A block of GPT-2: normalise, attend, add; normalise, ReLU MLP of four times the width, add.

    Args:
        hidden: Width of the tokens.
        heads: Attention heads.
        dropout: Share dropped of attention weights and of both outputs in training.
    """

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.share_dropped = dropout
        self.attention_norm = nn.LayerNorm(hidden)
        self.queries_keys_values = nn.Linear(hidden, 3 * hidden)
        self.attention_out = nn.Linear(hidden, hidden)
        self.mlp_norm = nn.LayerNorm(hidden)
        self.mlp = nn.Sequential(nn.Linear(hidden, 4 * hidden), nn.ReLU(), nn.Linear(4 * hidden, hidden))
        self.dropout = nn.Dropout(dropout)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=GPT2_STD)
                nn.init.zeros_(module.bias)

    def forward(self, tokens: Tensor, allowed: Tensor | None) -> Tensor:
        """The next tokens `[B, T, hidden]`; `allowed` `[B, 1, T, T]`: who sees whom; None: all that came before."""
        tokens = tokens + self.dropout(self.attention_out(self._attended(self.attention_norm(tokens), allowed)))
        return cast(Tensor, tokens + self.dropout(self.mlp(self.mlp_norm(tokens))))

    def _attended(self, tokens: Tensor, allowed: Tensor | None) -> Tensor:
        count, length, width = tokens.shape
        joined = self.queries_keys_values(tokens).view(count, length, 3, self.heads, width // self.heads)
        queries, keys, values = joined.permute(2, 0, 3, 1, 4)
        dropped = self.share_dropped if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=allowed, dropout_p=dropped, is_causal=allowed is None
        )
        return mixed.transpose(1, 2).reshape(count, length, width)


class Agent:
    """A trained transformer in parallel episodes, with what it remembers of them: their last steps.

    The return-to-go starts at the target and falls by each reward that is observed; without `observe` it stays.

    Args:
        network: In evaluation mode.
        target: The return to aim for, in the scaling of training.
        prompt: Steps of another trajectory of the task, one row an episode.
        memory: The most steps that are seen, the one to act in included; None, or more than that: the context.
    """

    def __init__(
        self, network: DecisionTransformer, target: float, prompt: Segment | None = None, memory: int | None = None
    ) -> None:
        self._network = network
        self._prompt = prompt
        self._memory = network.context if memory is None else min(memory, network.context)
        self._step = 0
        self._to_go: Tensor | float = target
        self._states: list[Tensor] = []
        self._actions: list[Tensor] = []
        self._returns: list[Tensor] = []

    @torch.no_grad()
    def act(self, states: Tensor) -> Tensor:
        """Actions `[N, A]` at the episodes' next states `[N, S]`, scaled as in training."""
        self._states.append(states)
        self._returns.append(self._to_go + states.new_zeros(len(states), 1))
        self._actions.append(states.new_zeros(len(states), self._network.action.out_features))
        for memory in (self._states, self._actions, self._returns):
            del memory[: -self._memory]
        steps = torch.arange(self._step + 1 - len(self._states), self._step + 1, device=states.device)
        windows = (torch.stack(memory, dim=1) for memory in (self._states, self._actions, self._returns))
        actions = self._network(*windows, steps.expand(len(states), -1), prompt=self._prompt)[:, -1]
        self._actions[-1] = actions
        self._step += 1
        return cast(Tensor, actions)

    def observe(self, rewards: Tensor) -> None:
        """Take in the rewards `[N]` of the last actions, in the scaling of training."""
        self._to_go = self._to_go - rewards[:, None]


def _joined(prompt_mask: Tensor | None, mask: Tensor | None, prompt_states: Tensor, states: Tensor) -> Tensor | None:
    """Which steps of prompt and window are real; None if all are."""
    if prompt_mask is None and mask is None:
        return None
    sides = ((prompt_mask, prompt_states), (mask, states))
    return torch.cat(
        [torch.ones(like.shape[:2], dtype=torch.bool, device=like.device) if of is None else of for of, like in sides],
        dim=1,
    )


def _allowed(real: Tensor) -> Tensor:
    """`[B, 1, T, T]`: each token sees the real ones up to itself, and itself, so that padding divides by no zero."""
    length = real.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=real.device).tril()
    itself = torch.eye(length, dtype=torch.bool, device=real.device)
    return ((causal & real[:, None]) | itself)[:, None]


@dataclass(frozen=True)
class Window:
    """Steps of episodes, in the store's units.

    Attributes:
        states: `[B, K, S]`.
        actions: `[B, K, A]`.
        to_go: Returns-to-go in units of the task's mean training return `[B, K, 1]`.
        steps: Numbers of the steps in their episodes `[B, K]`.
    """

    states: Tensor
    actions: Tensor
    to_go: Tensor
    steps: Tensor

    def to(self, where: torch.device) -> Window:
        """The same on a device."""
        return Window(*(part.to(where) for part in (self.states, self.actions, self.to_go, self.steps)))


class PromptedNetwork(nn.Module):
    """A Decision Transformer, the scaling of its observations, and the returns-to-go that it is asked for.

    Args:
        network: The transformer, built with prompts.
        longest: Steps of the longest training episode; later steps of a test episode count as its last.
    """

    shift: Tensor
    scale: Tensor
    wanted: Tensor
    """Return-to-go asked for at each step `[longest]`: see `fit`."""

    def __init__(self, network: DecisionTransformer, longest: int) -> None:
        super().__init__()
        self.network = network
        self.longest = longest
        size = network.embed.state.in_features
        self.register_buffer("shift", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        self.register_buffer("wanted", torch.ones(longest))

    def fit(self, states: Tensor, smallest_scale: float, wanted: Tensor) -> None:
        """Take the scaling from training states `[N, S]`, and the returns-to-go to ask for `[longest]`."""
        self.shift.copy_(states.mean(0))
        self.scale.copy_(states.std(0).clamp_min(smallest_scale))
        self.wanted.copy_(wanted)

    def forward(self, window: Window, prompt: Window) -> Tensor:
        """Predicted actions `[B, K, A]` in (-1, 1)."""
        return cast(Tensor, self.network(*self._segment(window)[:4], prompt=self._segment(prompt)))

    def _segment(self, window: Window) -> Segment:
        return (window.states - self.shift) / self.scale, window.actions, window.to_go, window.steps, None


def prompt_windows(prompts: Prompts, count: int) -> Window:
    """`count` of each prompt's 20 states with the action taken there, evenly spread `[n, count, ...]`.

    A prompt holds no rewards, so its returns-to-go are 0.
    """
    blocks = np.linspace(0, BLOCKS - 1, count).round().astype(np.int64)

    def stacked(array: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array[:, blocks]))

    steps = torch.from_numpy(ACTIONS_PER_BLOCK * blocks).expand(len(prompts), -1)
    return Window(
        stacked(prompts.states), stacked(prompts.actions[:, :, 0]), torch.zeros(len(prompts), count, 1), steps
    )


SMALLEST_DEVIATION = 1e-6


class PromptedTransformer(nn.Module):
    """A Decision Transformer behind standardised states and scaled returns.

    Args:
        network: Built for prompts.
        state_size: S.
        return_scale: Returns are divided by this.
        target_return: The return that agents ask for.
        prompt_steps: Steps of a prompt.
    """

    def __init__(
        self,
        network: DecisionTransformer,
        state_size: int,
        return_scale: float,
        target_return: float,
        prompt_steps: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.return_scale = return_scale
        self.target_return = target_return
        self.prompt_steps = prompt_steps
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(state_size))
        self.register_buffer("deviation", torch.ones(state_size))

    def fit(self, states: Tensor) -> None:
        """Standardise as the rows of `states` `[N, S]` ask for."""
        self.mean.copy_(states.mean(0))
        self.deviation.copy_(states.std(0) + SMALLEST_DEVIATION)

    def segment(self, states: Tensor, actions: Tensor, to_go: Tensor, steps: Tensor) -> Segment:
        """Steps for the network: states `[B, K, S]`, actions `[B, K, A]`, returns-to-go and step numbers `[B, K]`."""
        return self.scaled(states), actions, to_go[..., None] / self.return_scale, steps, None

    def scaled(self, states: Tensor) -> Tensor:
        """Standardised states."""
        return (states - self.mean) / self.deviation

    def forward(self, window: Segment, prompt: Segment) -> Tensor:
        """Predicted actions `[B, K, A]` of windows, with one prompt each."""
        return cast(Tensor, self.network(*window, prompt=prompt))

    def agent(self, prompt: Segment, memory: int | None = None) -> Agent:
        """An agent of parallel episodes, with one prompt each, that asks for the target return (memory: as `Agent`)."""
        return Agent(self.network, self.target_return / self.return_scale, prompt, memory)
