"""The stage that scores a task's checkpoints, keeps the good ones and records the episodes that become prompts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hyprepro.collect.collection import Harvest, Kept, Recorded, load_harvest, save_harvest
from hyprepro.collect.metaworld.settings import (
    PROMPTS_BETWEEN_RUNS,
    SCORING,
    Agent,
    Selection,
    goals_a_task,
    stored_seed,
    task_goal,
)
from hyprepro.collect.metaworld.training import TrainSAC
from hyprepro.collect.sac.settings import SACTraining
from hyprepro.domains.metaworld.env import MetaWorldEnv
from hyprepro.domains.metaworld.pool import process_pool
from hyprepro.domains.metaworld.tasks import HORIZON, PROMPTS, VALIDATION, Goal
from hyprepro.engine.stage import Report, Stage
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores.prompts import STEPS, SUCCESS_STATES

_TRIES = 20  # goals tried for a prompt before a policy is given up


@dataclass(frozen=True)
class HarvestTask(Stage):
    """Score, select and record for one task.

    Attributes:
        runs: The stacks that hold its SAC runs.
        selection: What is kept.
        task: The task.
        run_number: The one run that is harvested, on goals of its own for its prompts; None: all runs of the task.
    """

    kind: ClassVar[str] = "harvest"
    version: ClassVar[int] = 2

    runs: tuple[TrainSAC, ...]
    selection: Selection
    task: str
    run_number: int | None = None

    @property
    def label(self) -> str:
        """Which task, and which run."""
        return f"policies and prompts of {self.task}" + ("" if self.run_number is None else f", run {self.run_number}")

    @property
    def cost(self) -> float:
        """About a second and a half a policy."""
        return 1.5 * sum(self._wanted(agent) for agent in self._agents)

    @property
    def affinity(self) -> str:
        """Environments of the task are reused."""
        return self.task

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write policies.safetensors and episodes.safetensors."""
        policies, scored = self._select(inputs, report)
        episodes = list(self._record(policies, report))
        save_harvest(work, policies, episodes, scored)

    def load(self, path: Path) -> Harvest:
        """The task's policies and episodes."""
        return load_harvest(path)

    def _select(self, inputs: dict[str, Path], report: Report) -> tuple[list[Kept], list[tuple[float, ...]]]:
        """For each SAC run the accepted checkpoints that are kept, oldest first, and the scores of all that were tried.

        A run that did not get there has none, and all of its checkpoints were tried.
        """
        selection = self.selection
        policies: list[Kept] = []
        scored: list[tuple[float, ...]] = []
        goals = [task_goal(SCORING, self.task, i, self._collection) for i in range(selection.score_goals)]
        total = sum(self._wanted(agent) for agent in self._agents)
        done = 0
        for agent in self._agents:
            wanted, spread = self._wanted(agent), selection.rule == "spread"
            params, updates, training = self._checkpoints(inputs, agent)
            dense = spread or self._trains(agent)
            stride = selection.train_stride if dense else max(1, len(params) // wanted)
            accepted: list[Kept] = []
            for row in range(len(params) - 1, -1, -stride):
                stored = params[row].astype(selection.weights)
                success, returns = score(self.task, stored.astype(np.float32), goals, selection.score_steps)
                step = round(int(updates[row]) / training.updates_per_step) + training.first_steps
                seed = stored_seed(self._collection, agent.seed)
                scored.append((seed, step, success, returns))
                if success >= selection.acceptance:
                    accepted.append(Kept(stored, seed, step, success, returns, "test"))
                report.progress(done + min(len(accepted), wanted), total, success=success)
                if len(accepted) == wanted and not spread:
                    break
            policies += self._kept(accepted[::-1], agent)
            done += wanted
        return policies, scored

    def _kept(self, accepted: list[Kept], agent: Agent) -> list[Kept]:
        """Of a run's accepted checkpoints, oldest first, those that are stored, each in its split.

        Of a training run some are for prompts, the oldest or some of all stages; where it has fewer than were asked for
        too, but at least one is trained on.
        """
        selection, wanted = self.selection, self._wanted(agent)
        chosen = accepted
        if len(accepted) > wanted:
            chosen = [accepted[row] for row in np.linspace(len(accepted) - 1, 0, wanted).round().astype(int)[::-1]]
        if not self._trains(agent):
            return chosen
        spare = range(min(selection.prompt_policies, max(0, len(chosen) - 1)))
        prompting = {(2 * i + 1) * len(chosen) // (2 * len(spare)) for i in spare}
        if selection.rule == "last":
            prompting = set(spare)
        return [kept if row in prompting else kept._replace(split="train") for row, kept in enumerate(chosen)]

    @property
    def _collection(self) -> int:
        """The collection's seed."""
        return self.runs[0].clones.seed

    @property
    def _agents(self) -> list[Agent]:
        """The task's SAC runs."""
        agents = [agent for run in self.runs for agent in run.agents if agent.task == self.task]
        return [agent for agent in agents if self.run_number in (None, agent.seed)]

    def _trains(self, agent: Agent) -> bool:
        return agent.seed < self.selection.train_seeds

    def _wanted(self, agent: Agent) -> int:
        selection = self.selection
        return selection.train_policies + selection.prompt_policies if self._trains(agent) else selection.test_policies

    def _checkpoints(
        self, inputs: dict[str, Path], agent: Agent
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], SACTraining]:
        for number, run in enumerate(self.runs):
            if agent in run.agents:
                params, updates = run.load(inputs[f"runs.{number}"])
                return params[:, run.agents.index(agent)], updates, run.training
        raise ValueError(f"no run holds {agent}")

    def _record(self, policies: list[Kept], report: Report) -> Iterator[Recorded]:
        """Training and validation prompts from training policies, test prompts from test policies; one goal each.

        A policy that fails on `_TRIES` goals in a row gives none; another test policy gives its test prompts.
        """
        env = process_pool().take(self.task, 1)[0]
        failing: set[int] = set()
        for split, seeds, offset, sources in self._plans(policies):
            goals = (task_goal(seeds, self.task, index, self._collection) for index in count(offset))
            for row in sources:
                for each in dict.fromkeys([row, *(sources if split == "test" else ())]):
                    if each in failing:
                        continue
                    episode = _prompt(env, policies[each], goals)
                    if episode is not None:
                        yield Recorded(*episode, each, split)
                        break
                    failing.add(each)

    def _plans(self, policies: list[Kept]) -> list[tuple[str, range, int, list[int]]]:
        """Of each kind of prompts: its split, its range of goals, the first goal, and the row of each prompt's source.

        Training prompts begin the task's goals, test prompts the second half of them, and those from training runs the
        second half of this. A run that is harvested alone has a part of each.
        """
        selection, run = self.selection, self.run_number
        trained = stored_seed(self._collection, selection.train_seeds)
        train = [i for i, p in enumerate(policies) if p.split == "train"]
        siblings = [i for i, p in enumerate(policies) if p.split == "test" and p.seed < trained]
        unseen = [i for i, p in enumerate(policies) if p.seed >= trained]
        half, first = goals_a_task(PROMPTS) // 2, 0 if run is None else run * PROMPTS_BETWEEN_RUNS
        last = half + (half // 2 if run is None else first)
        validation, of_siblings, of_unseen = (
            self._share(wanted, runs)
            for wanted, runs in (
                (selection.validation_prompts, range(selection.train_seeds)),
                (selection.test_prompts, range(selection.train_seeds)),
                (selection.test_prompts, range(selection.train_seeds, selection.train_seeds + selection.test_seeds)),
            )
        )
        return [
            ("train", PROMPTS, first, train * selection.train_prompts),
            ("validation", VALIDATION, first, _spread(train, validation)),
            ("test", PROMPTS, half + first, _spread(unseen, of_unseen)),
            ("test", PROMPTS, last, _spread(siblings, of_siblings)),
        ]

    def _share(self, wanted: int, runs: range) -> int:
        """How many of a task's `wanted` prompts come from the run that is harvested, if such come from `runs`."""
        if self.run_number is None or self.run_number not in runs:
            return wanted
        place = runs.index(self.run_number)
        return wanted * (place + 1) // len(runs) - wanted * place // len(runs)


def _spread(rows: list[int], wanted: int) -> list[int]:
    """`wanted` entries spread evenly over `rows`, each used about equally often; none if there are no rows."""
    return [rows[i * len(rows) // wanted] for i in range(wanted)] if rows else []


def _prompt(
    env: MetaWorldEnv | Any, kept: Kept, goals: Iterator[Goal]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], int, int] | None:
    """A successful episode of a policy, as `record_episode` has it, and its goal's seed; None after `_TRIES` goals."""
    policy = StackedPolicies(METAWORLD_LAYOUT, kept.params.astype(np.float32)[None])
    for goal in islice(goals, _TRIES):
        episode = record_episode(env, policy, goal)
        if episode is not None:
            return *episode, goal.seed
    return None


def score(task: str, params: NDArray[np.float32], goals: list[Goal], steps: int) -> tuple[float, float]:
    """Success rate within `steps` steps and mean undiscounted return over them, of one policy `[P]` on all goals."""
    policy, pool = StackedPolicies(METAWORLD_LAYOUT, params[None]), process_pool()
    solved: list[bool] = []
    returns: list[float] = []
    while len(solved) < len(goals):
        envs = pool.take(task, len(goals) - len(solved))
        observations = np.stack([env.reset(goal) for env, goal in zip(envs, goals[len(solved) :], strict=False)])
        success, total = np.zeros(len(envs), dtype=bool), np.zeros(len(envs))
        for _ in range(steps):
            actions = policy.means(_tensor(observations)).squeeze(0).numpy()
            for i, env in enumerate(envs):
                observations[i], reward, done = env.step(actions[i])
                total[i] += reward
                success[i] |= done
        solved += success.tolist()
        returns += total.tolist()
    return float(np.mean(solved)), float(np.mean(returns))


def record_episode(
    env: MetaWorldEnv | Any, policy: StackedPolicies, goal: Goal
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], int] | None:
    """A deterministic episode up to what a prompt needs; None if it does not succeed within the horizon.

    Returns:
        Observations `[T + 1, 39]`, actions `[T, 4]`, rewards `[T]`, and the 0-based step of the first success.
    """
    observation = env.reset(goal)
    observations, actions, rewards, success_step = [observation], [], [], -1
    for step in range(HORIZON):
        action = policy.means(_tensor(observation[None]))[0, 0].numpy()
        observation, reward, success = env.step(action)
        observations.append(observation)
        actions.append(action)
        rewards.append(reward)
        if success and success_step < 0:
            success_step = step
        if success_step >= 0 and step + 1 >= max(STEPS, success_step + SUCCESS_STATES):
            break
    if success_step < 0 or len(actions) < max(STEPS, success_step + SUCCESS_STATES):
        return None
    stacked = (np.asarray(part, dtype=np.float32) for part in (observations, actions, rewards))
    return *stacked, success_step  # type: ignore[return-value]


def _tensor(observations: NDArray[np.floating[Any]]) -> Any:
    import torch

    return torch.from_numpy(np.asarray(observations, dtype=np.float32))
