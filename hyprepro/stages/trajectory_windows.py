"""Whole training episodes out of the trajectory store, cut into windows for a Decision Transformer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hyprepro.errors import UserError
from hyprepro.models.networks.prompted_transformer import Window, prompt_windows
from hyprepro.stages.data import training_tasks
from hyprepro.stores.files import StoreFiles
from hyprepro.stores.prompts import Prompts, prompt_from_episode
from hyprepro.stores.trajectory_store import Episode


@dataclass(frozen=True)
class EpisodeSet:
    """Episodes of several tasks laid end to end, N steps of E episodes.

    Attributes:
        steps: All steps, as a window without a batch dimension (`[N, S]` and so on).
        start: First step of each episode `[E]`.
        length: Steps of each episode `[E]`.
        task: Number of each episode's task `[E]`.
        prompts: Each episode as a prompt (`[E, P, S]` and so on).
    """

    steps: Window
    start: Tensor
    length: Tensor
    task: Tensor
    prompts: Window

    @property
    def longest(self) -> int:
        """Steps of the longest episode."""
        return int(self.length.max())

    def windows(self, first: Tensor, context: int) -> Window:
        """The `context` steps from `first` `[B]` on."""
        return _at(self.steps, first[:, None] + torch.arange(context))

    def prompts_of(self, episodes: Tensor) -> Window:
        """The prompts of some episodes `[B]`."""
        return _at(self.prompts, episodes)

    def random_windows(self, count: int, context: int) -> tuple[Window, Window]:
        """Windows of random episodes (the longer, the likelier), each with the prompt of another of its task.

        A window may begin before its episode; it is then moved to its start, so that all steps are drawn about alike.
        """
        episode = torch.multinomial(self.length.double(), count, replacement=True)
        length = self.length[episode]
        offset = (torch.rand(count) * length).long() - (context - 1)
        return self.windows(self.start[episode] + offset.clamp_min(0), context), self.prompts_of(self._others(episode))

    def tiled_windows(self, context: int) -> tuple[Window, Window]:
        """Windows that cover every episode once from its start (a rest is left out), with the next episode's prompt."""
        count = self.length // context
        episode = torch.arange(len(count)).repeat_interleave(count)
        number = torch.arange(len(episode)) - (count.cumsum(0) - count)[episode]
        first = self.start[episode] + context * number
        return self.windows(first, context), self.prompts_of(self._next(episode))

    def wanted(self) -> Tensor:
        """The mean return-to-go at each step over all episodes, 0 after their end `[longest]`."""
        total = torch.zeros(self.longest, dtype=torch.float64)
        total.index_add_(0, self.steps.steps, self.steps.to_go[:, 0].double())
        return (total / len(self.start)).float()

    def _others(self, episode: Tensor) -> Tensor:
        """A random episode of the same task each, another one where the task has two."""
        first, count = self._span(episode)
        ahead = 1 + (torch.rand(len(episode)) * (count - 1)).long()
        return first + (episode - first + ahead) % count

    def _next(self, episode: Tensor) -> Tensor:
        first, count = self._span(episode)
        return first + (episode - first + 1) % count

    def _span(self, episode: Tensor) -> tuple[Tensor, Tensor]:
        """First episode and number of episodes of each one's task."""
        counts = torch.bincount(self.task)
        return (counts.cumsum(0) - counts)[self.task[episode]], counts[self.task[episode]]


def episode_sets(data: StoreFiles, context: int, prompt_steps: int) -> tuple[EpisodeSet, EpisodeSet]:
    """The training and the validation episodes of training policies of the training tasks.

    Raises:
        UserError: An episode is shorter than the context; a task has no training episode, or none with a return.
    """
    found: dict[str, list[list[Episode]]] = {"train": [], "validation": []}
    with data.open_policies() as policies, data.open_trajectories() as store:
        tasks = training_tasks(policies)
        for task in tasks:
            known = set(policies.rows(task, "train").tolist())
            for split, parts in found.items():
                parts.append([each for each in store.episodes(task, split) if each.policy_row in known])
    units = [_unit(task, episodes, data) for task, episodes in zip(tasks, found["train"], strict=True)]
    for episodes in (*found["train"], *found["validation"]):
        for episode in episodes:
            check_length(episode, context, data)
    training = _joined(found["train"], units, prompt_steps)
    if not any(found["validation"]):
        return training, training
    return training, _joined(found["validation"], units, prompt_steps)


def check_length(episode: Episode, context: int, data: StoreFiles) -> None:
    """`UserError` if an episode is shorter than the context."""
    if len(episode.actions) < context:
        raise UserError(
            f"An episode of {len(episode.actions)} steps is shorter than the context of {context}.",
            where=f"{data.trajectories.path}:{episode.task}, episode {episode.id}",
            fix=f"-b PromptedTransformer.context={len(episode.actions)}",
        )


def _unit(task: str, episodes: list[Episode], data: StoreFiles) -> float:
    """The task's mean training return."""
    where = f"{data.trajectories.path}:{task}"
    if not episodes:
        raise UserError("The task has no training episode of a stored training policy.", where=where)
    unit = float(np.mean([each.rewards.sum(dtype=np.float64) for each in episodes]))
    if not np.isfinite(unit) or unit <= 0:
        raise UserError(
            f"The mean return of the training episodes is {unit:g}; it must be finite and positive.",
            where=where,
            fix="hyprepro store verify PATH",
        )
    return unit


def _joined(by_task: list[list[Episode]], units: list[float], prompt_steps: int) -> EpisodeSet:
    episodes = [each for part in by_task for each in part]
    task = torch.repeat_interleave(torch.arange(len(by_task)), torch.tensor([len(part) for part in by_task]))
    length = torch.tensor([len(each.actions) for each in episodes])
    to_go = [
        np.cumsum(each.rewards[::-1], dtype=np.float64)[::-1] / units[number]
        for each, number in zip(episodes, task.tolist(), strict=True)
    ]
    steps = Window(
        torch.from_numpy(np.concatenate([each.observations[:-1] for each in episodes])),
        torch.from_numpy(np.concatenate([each.actions for each in episodes])).clamp(-1, 1),
        torch.from_numpy(np.concatenate(to_go).astype(np.float32))[:, None],
        torch.cat([torch.arange(int(steps)) for steps in length]),
    )
    return EpisodeSet(steps, length.cumsum(0) - length, length, task, _as_prompts(episodes, prompt_steps))


def _as_prompts(episodes: list[Episode], count: int) -> Window:
    cut = [prompt_from_episode(each.observations, each.actions, each.success_step) for each in episodes]
    tau, tau_hat = (np.stack(parts) for parts in zip(*cut, strict=True))
    nothing = np.zeros(len(episodes), dtype=np.int64)
    return prompt_windows(Prompts("", "train", tau, tau_hat, nothing, nothing), count)


def _at(window: Window, rows: Tensor) -> Window:
    return Window(window.states[rows], window.actions[rows], window.to_go[rows], window.steps[rows])
