"""One training step of Prompt-DT, and its validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hyprepro.engine.training import Descent, device
from hyprepro.errors import UserError
from hyprepro.methods.decision_transformer.network import PromptedTransformer, Segment
from hyprepro.methods.decision_transformer.prompt_dt import PromptTransformer
from hyprepro.stores.episodes import Episodes

VALIDATION_WINDOWS = 8
"""Windows of each training velocity on which the error is validated."""


@dataclass(frozen=True)
class EpisodeTensors:
    """The episodes of several velocities laid end to end.

    Attributes:
        states: `[E, T, S]`.
        actions: `[E, T, A]`.
        to_go: Undiscounted returns-to-go `[E, T]`.
        first: Row of each velocity's first episode `[V]`, on the CPU.
        count: Number of each velocity's episodes `[V]`, on the CPU.
    """

    states: Tensor
    actions: Tensor
    to_go: Tensor
    first: Tensor
    count: Tensor

    @classmethod
    def of(cls, episodes: Sequence[Episodes]) -> EpisodeTensors:
        """On the device of the stages."""
        states, actions, to_go = (
            torch.cat([torch.from_numpy(part) for part in parts]).to(device())
            for parts in (
                [each.observations[:, :-1] for each in episodes],
                [each.actions for each in episodes],
                [each.to_go() for each in episodes],
            )
        )
        count = torch.tensor([len(each) for each in episodes])
        return cls(states, actions, to_go, count.cumsum(0) - count, count)

    def drawn(self, times: int) -> Tensor:
        """Row numbers of random episodes, `times` of each velocity `[V * times]`."""
        share = torch.rand(len(self.count), times)
        return (self.first[:, None] + (share * self.count[:, None]).long()).flatten()

    def windows(self, model: PromptedTransformer, rows: Tensor, starts: Tensor, length: int) -> Segment:
        """`length` steps of each episode in `rows` `[B]` from the steps `starts` `[B]` on."""
        steps = (starts[:, None] + torch.arange(length)).to(self.states.device)
        rows = rows[:, None].to(self.states.device)
        return model.segment(self.states[rows, steps], self.actions[rows, steps], self.to_go[rows, steps], steps)


def prompts(model: PromptedTransformer, experts: EpisodeTensors, rows: Tensor) -> Segment:
    """The prompts `[B]` that episodes `rows` give: their last steps but one, as in the released code."""
    start = max(0, experts.states.shape[1] - model.prompt_steps - 1)
    return experts.windows(model, rows, torch.full_like(rows, start), model.prompt_steps)


class PromptDTJob(Descent[PromptTransformer, PromptedTransformer]):
    """The squared error of all actions in random windows, `batch_size` of each velocity, each with a random prompt.

    Args:
        settings: The transformer and how it is trained.
        shape: Sizes of states and actions, and steps of an episode.
        episodes: Training episodes of each velocity.
        experts: Expert episodes of each velocity, for prompts and validation.
    """

    def __init__(
        self,
        settings: PromptTransformer,
        shape: tuple[int, int, int],
        episodes: Sequence[Episodes],
        experts: Sequence[Episodes],
    ) -> None:
        super().__init__(settings, settings.build(*shape), shape)
        self._episodes, self._experts = EpisodeTensors.of(episodes), EpisodeTensors.of(experts)
        self._longest_start = min(self._episodes.states.shape[1], self._experts.states.shape[1]) - settings.context
        if self._longest_start < 0:
            raise UserError(
                f"The episodes have {self._longest_start + settings.context} steps, fewer than the context of "
                f"{settings.context}.",
                where="PromptTransformer.context",
                fix="bind PromptTransformer.context to at most the length of an episode",
            )
        self.network.fit(self._episodes.states.flatten(0, 1))

    def losses(self) -> Mapping[str, Tensor]:
        """The squared error of a batch."""
        return {"loss": self._loss(self._episodes, self.settings.batch_size)}

    def validate(self) -> dict[str, float]:
        """The error on random windows of expert episodes, the same ones each time."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return {"validation_error": float(self._loss(self._experts, VALIDATION_WINDOWS))}

    def _loss(self, episodes: EpisodeTensors, times: int) -> Tensor:
        rows = episodes.drawn(times)
        starts = torch.randint(self._longest_start + 1, rows.shape)
        window = episodes.windows(self.network, rows, starts, self.settings.context)
        prompt = prompts(self.network, self._experts, self._experts.drawn(times))
        return functional.mse_loss(self.network(window, prompt), window[1])
