"""What trains a Decision Transformer: whole training episodes, cut into windows, and the error of their actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hyprepro.engine.training import Descent, device
from hyprepro.errors import UserError
from hyprepro.methods.decision_transformer.method import PromptedTransformer
from hyprepro.methods.decision_transformer.network import PromptedNetwork, Window, prompt_windows
from hyprepro.stores.files import StoreFiles
from hyprepro.stores.prompts import Prompts, prompt_from_episode
from hyprepro.stores.trajectory_store import Episode

Recorded = Mapping[str, Mapping[str, NDArray[Any]]]
"""What `DisturbedEpisodes` yields."""


@dataclass(frozen=True)
class EpisodeSet:
    """Episodes of several tasks laid end to end, N steps of E episodes; task by task, those that give prompts first.

    Attributes:
        steps: All steps, as a window without a batch dimension (`[N, S]` and so on).
        targets: The action to be learnt at each step `[N, A]`.
        start: First step of each episode `[E]`.
        length: Steps of each episode `[E]`.
        task: Number of each episode's task `[E]`.
        prompts: The stored episodes as prompts (`[P, k, S]` and so on).
        prompt_task: Number of each prompt's task `[P]`.
    """

    steps: Window
    targets: Tensor
    start: Tensor
    length: Tensor
    task: Tensor
    prompts: Window
    prompt_task: Tensor

    @property
    def longest(self) -> int:
        """Steps of the longest episode."""
        return int(self.length.max())

    def windows(self, first: Tensor, context: int) -> tuple[Window, Tensor]:
        """The `context` steps from `first` `[B]` on, and the actions to be learnt there `[B, K, A]`."""
        rows = first[:, None] + torch.arange(context)
        return _at(self.steps, rows), self.targets[rows]

    def random_windows(self, count: int, context: int) -> tuple[Window, Tensor, Window]:
        """Windows of random episodes (the longer, the likelier), their targets, prompts of other episodes of the task.

        A window may begin before its episode; it is then moved to its start, so that all steps are drawn about alike.
        """
        episode = torch.multinomial(self.length.double(), count, replacement=True)
        length = self.length[episode]
        first = self.start[episode] + ((torch.rand(count) * length).long() - (context - 1)).clamp_min(0)
        return *self.windows(first, context), self._prompts_beside(episode, torch.rand(count))

    def tiled_windows(self, context: int) -> tuple[Window, Tensor, Window]:
        """Windows that cover every episode once from its start (a rest is left out), with the next episode's prompt."""
        count = self.length // context
        episode = torch.arange(len(count)).repeat_interleave(count)
        number = torch.arange(len(episode)) - (count.cumsum(0) - count)[episode]
        windows = self.windows(self.start[episode] + context * number, context)
        return *windows, self._prompts_beside(episode, torch.zeros(len(episode)))

    def _prompts_beside(self, episode: Tensor, share: Tensor) -> Window:
        """For each episode a prompt of its task but its own, `share` (in [0, 1)) of the way round from the next one."""
        first_episode, _ = _spans(self.task)
        first, count = _spans(self.prompt_task)
        task = self.task[episode]
        ahead = 1 + (share * (count[task] - 1)).long()
        return _at(self.prompts, first[task] + (episode - first_episode[task] + ahead) % count[task])


@dataclass(frozen=True)
class TrajectoryData:
    """What a Decision Transformer is trained on.

    Attributes:
        training: Episodes to train on.
        validation: Stored episodes held out; the training episodes where the store holds out none.
        wanted: The mean return-to-go of the stored training episodes at each step, 0 after their end `[longest]`.
    """

    training: EpisodeSet
    validation: EpisodeSet
    wanted: Tensor


def trajectory_data(data: StoreFiles, context: int, prompt_steps: int, recorded: Recorded) -> TrajectoryData:
    """The episodes of training policies of the training tasks, stored ones and recorded ones.

    Returns-to-go count in mean returns of their task's stored training episodes.

    Raises:
        UserError: An episode is shorter than the context; a task has no training episode, or none with a return.
    """
    found: dict[str, list[list[Episode]]] = {"train": [], "validation": []}
    with data.open_policies() as policies, data.open_trajectories() as store:
        tasks = policies.training_tasks()
        for task in tasks:
            known = set(policies.rows(task, "train").tolist())
            for split, parts in found.items():
                parts.append([each for each in store.episodes(task, split) if each.policy_row in known])
    for part in (*found["train"], *found["validation"]):
        for episode in part:
            _check_length(episode, context, data)
    units = [_unit(task, part, data) for task, part in zip(tasks, found["train"], strict=True)]
    stored = _joined(found["train"], units, prompt_steps, [{}] * len(tasks))
    training = _joined(found["train"], units, prompt_steps, [recorded.get(task, {}) for task in tasks])
    wanted = torch.zeros(training.longest, dtype=torch.float64)
    wanted.index_add_(0, stored.steps.steps, stored.steps.to_go[:, 0].double())
    held_out = found["validation"]
    validation = _joined(held_out, units, prompt_steps, [{}] * len(tasks)) if all(held_out) else stored
    return TrajectoryData(training, validation, (wanted / len(stored.start)).float())


def _check_length(episode: Episode, context: int, data: StoreFiles) -> None:
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
        raise UserError(
            "The task has no training episode of a stored training policy.",
            where=where,
            fix=f"hyprepro store info {data.trajectories.path}; Recipe.withheld leaves tasks out",
        )
    unit = float(np.mean([each.rewards.sum(dtype=np.float64) for each in episodes]))
    if not np.isfinite(unit) or unit <= 0:
        raise UserError(
            f"The mean return of the training episodes is {unit:g}; it must be finite and positive.",
            where=where,
            fix=f"hyprepro store verify {data.trajectories.path}",
        )
    return unit


def _joined(
    stored: list[list[Episode]], units: list[float], prompt_steps: int, recorded: list[Mapping[str, NDArray[Any]]]
) -> EpisodeSet:
    """One set of stored and recorded episodes, task by task."""
    states, actions, targets, to_go, length, task = [], [], [], [], [], []
    for number, (episodes, unit, more) in enumerate(zip(stored, units, recorded, strict=True)):
        states += [each.observations[:-1] for each in episodes]
        actions += [each.actions for each in episodes]
        targets += [each.actions for each in episodes]
        rewards = [each.rewards for each in episodes]
        if more:
            states, actions = [*states, more["observations"]], [*actions, more["actions"]]
            targets.append(more["own_actions"])
            rewards += np.split(more["rewards"], np.cumsum(more["length"])[:-1])
        to_go += [np.cumsum(each[::-1], dtype=np.float64)[::-1] / unit for each in rewards]
        length += [len(each) for each in rewards]
        task += [number] * len(rewards)
    lengths = torch.tensor(length)
    steps = Window(
        torch.from_numpy(np.concatenate(states)),
        torch.from_numpy(np.concatenate(actions)).clamp(-1, 1),
        torch.from_numpy(np.concatenate(to_go).astype(np.float32))[:, None],
        torch.cat([torch.arange(each) for each in length]),
    )
    return EpisodeSet(
        steps,
        torch.from_numpy(np.concatenate(targets)).clamp(-1, 1),
        lengths.cumsum(0) - lengths,
        lengths,
        torch.tensor(task),
        _as_prompts([each for part in stored for each in part], prompt_steps),
        torch.repeat_interleave(torch.arange(len(stored)), torch.tensor([len(part) for part in stored])),
    )


def _as_prompts(episodes: list[Episode], count: int) -> Window:
    cut = [prompt_from_episode(each.observations, each.actions, each.success_step) for each in episodes]
    tau, tau_hat = (np.stack(parts) for parts in zip(*cut, strict=True))
    nothing = np.zeros(len(episodes), dtype=np.int64)
    return prompt_windows(Prompts("", "train", tau, tau_hat, nothing, nothing), count)


def _spans(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """First row and number of rows of each task, from ascending task numbers."""
    count = torch.bincount(numbers)
    return count.cumsum(0) - count, count


def _at(window: Window, rows: Tensor) -> Window:
    return Window(window.states[rows], window.actions[rows], window.to_go[rows], window.steps[rows])


class DecisionTransformerJob(Descent[PromptedTransformer, PromptedNetwork]):
    """The squared error of the action at every step of random windows.

    Args:
        settings: The network and how it is trained.
        data: The episodes.
    """

    def __init__(self, settings: PromptedTransformer, data: TrajectoryData) -> None:
        longest = data.training.longest
        super().__init__(settings, settings.build(longest), (longest,))
        self._training = data.training
        self._validation = _moved(*data.validation.tiled_windows(settings.context))
        self.network.fit(data.training.steps.states, settings.smallest_scale, data.wanted)

    def losses(self) -> Mapping[str, Tensor]:
        """The error of a batch."""
        drawn = self._training.random_windows(self.settings.batch_size, self.settings.context)
        window, targets, prompt = _moved(*drawn)
        return {"loss": functional.mse_loss(self.network(window, prompt), targets)}

    def validate(self) -> dict[str, float]:
        """Mean squared error over the variance of actions."""
        window, targets, prompt = self._validation
        error = functional.mse_loss(self.network(window, prompt), targets)
        spread = (targets - targets.mean(dim=(0, 1))).square().mean()
        return {"validation_error": float(error / spread)}


def _moved(window: Window, targets: Tensor, prompt: Window) -> tuple[Window, Tensor, Window]:
    """The same where networks are trained."""
    return window.to(device()), targets.to(device()), prompt.to(device())
