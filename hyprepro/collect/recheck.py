"""Whether a store's recorded success rates hold: a sample of its policies again in the simulator, on fresh goals.

A store's rates were measured on few goals, the same for every policy of a task, and policies were picked by them. So a
task's recorded rate counts as one measurement on those few goals, however many policies share it, and a difference is a
contradiction only if Fisher's exact test says that one success probability would hardly give both.

Where the metric is the return, the sample is run from fresh starts. All policies of a task were scored from the same
few, so the recorded mean counts as one measurement on those. Both means are compared by Welch's t-test with the
measured spread over starts, and a difference of less than `TOLERANCE` contradicts nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hyprepro.collect.metaworld.settings import RECHECK, goals_a_task, task_goal
from hyprepro.collect.parameter.loop import start_seed
from hyprepro.collect.parameter.rollouts import returns
from hyprepro.domains.episodes import Episode, run_episodes
from hyprepro.domains.metaworld.domain import Environments, MetaWorld
from hyprepro.domains.metaworld.pool import EnvironmentPool, process_pool
from hyprepro.domains.metaworld.tasks import HORIZON, check_task
from hyprepro.domains.parameter import ParameterDomain
from hyprepro.errors import UserError
from hyprepro.policies.controllers import PolicyControllers
from hyprepro.stores.policy_store import PolicyStore

CONFIDENCE = 0.001
"""Probability of a false alarm in a whole store whose rates are right: it is divided by the number of tasks."""


@dataclass(frozen=True)
class Recheck:
    """One task's recorded and measured success; of a task without success, its return.

    Attributes:
        task: The task.
        policies: How many were run.
        episodes: Over how many fresh goals (starts) in all.
        measured: Success rate (mean return).
        low: Lower end of its 95% interval: Wilson's, episodes taken as independent (Student's, over starts).
        high: Upper end.
        recorded: Mean recorded rate (return) of the same policies; None if the store has none.
        recorded_goals: Over how many goals (starts) each was recorded.
        p: Of Fisher's exact test (Welch's t-test), two-sided; None without a recorded number.
        contradicted: `p` is below `CONFIDENCE` divided by the number of tasks.
    """

    task: str
    policies: int
    episodes: int
    measured: float
    low: float
    high: float
    recorded: float | None
    recorded_goals: int
    p: float | None
    contradicted: bool


def recorded_steps(store: PolicyStore) -> int:
    """The episode length over which a store's success was recorded; 500, metaworld's, if its route does not tell."""
    settings = store.route
    for name in ("collection", "selection"):
        inner = settings.get(name)
        settings = inner if isinstance(inner, dict) else {}
    steps = settings.get("score_steps")
    return steps if isinstance(steps, int) and 1 <= steps <= HORIZON else HORIZON


def recheck(
    store: PolicyStore,
    policies: int,
    goals: int = 10,
    tasks: Sequence[str] = (),
    pool: EnvironmentPool | None = None,
    on_task: Callable[[str], None] = lambda task: None,
) -> list[Recheck]:
    """Run up to `policies` policies of each task on `goals` goals of their own.

    Args:
        store: The policies.
        policies: How many of each task, drawn by the store's digest, so the same every time.
        goals: Fresh goals for each policy; no two policies share one.
        tasks: Which tasks; all if empty.
        pool: Where the environments come from.
        on_task: Called with each task before it is run.

    Raises:
        UserError: A task that metaworld does not have, an empty task, more goals than there are.
    """
    most = goals_a_task(RECHECK)
    if policies < 1 or goals < 1 or policies * goals > most:
        raise UserError(
            f"{policies} policies on {goals} goals each: there are 1 to {most} goals a task.",
            fix=f"--goals 1 to {most}, and --rollouts of at least 1",
        )
    names = _checked(store, tasks, check_task)
    found = []
    for task in names:
        on_task(task)
        found.append(_recheck(store, task, policies, goals, pool or process_pool(), CONFIDENCE / len(names)))
    return found


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """95% interval of a success probability (Wilson's score interval)."""
    found = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def _checked(store: PolicyStore, tasks: Sequence[str], check: Callable[[str], object]) -> list[str]:
    """The tasks that are to be run (`UserError` if one is unknown or has no policy)."""
    names = list(tasks) or list(store.tasks)
    for task in names:
        check(task)
        if not store.count(task):
            raise UserError(
                f"The store has no policy of {task}.",
                where=store.where,
                fix=f"leave out --task {task}; what the store has: hyprepro store info {store.where}",
            )
    return names


def _sample(store: PolicyStore, task: str, policies: int) -> NDArray[np.int64]:
    """Rows of at most so many policies of a task, drawn by the store's digest."""
    seed = int.from_bytes(hashlib.sha256(f"{store.digest}/{task}".encode()).digest()[:8], "big")
    return np.sort(np.random.default_rng(seed).permutation(store.count(task))[:policies])


def _recorded(store: PolicyStore, task: str, rows: NDArray[np.int64], name: str) -> tuple[float | None, int]:
    """What the store has of some policies on average, and over how many goals or starts each; None and 0: nothing."""
    meta = store.meta(task)
    rated = rows[meta["episodes"][rows] > 0]
    return (float(meta[name][rated].mean()), int(meta["episodes"][rated].min())) if len(rated) else (None, 0)


def _recheck(store: PolicyStore, task: str, policies: int, goals: int, pool: EnvironmentPool, level: float) -> Recheck:
    rows = _sample(store, task, policies)
    episodes = [
        Episode(number, task_goal(RECHECK, task, number * goals + goal))
        for number in range(len(rows))
        for goal in range(goals)
    ]
    controllers = PolicyControllers(store.layout, store.read(task, rows))
    outcomes = run_episodes(
        MetaWorld(),
        task,
        controllers,
        episodes,
        horizon=recorded_steps(store),
        simulator=lambda slots: Environments(pool.take(task, slots)),
    )
    won, trials, p = sum(bool(outcome.success) for outcome in outcomes), len(outcomes), None
    recorded, on = _recorded(store, task, rows, "success")
    if recorded is not None:
        before = round(recorded * on)
        p = float(stats.fisher_exact([[before, on - before], [won, trials - won]]).pvalue)
    contradicted = p is not None and p < level
    return Recheck(task, len(rows), trials, won / trials, *wilson(won, trials), recorded, on, p, contradicted)


TOLERANCE = 1.0
"""Of a mean return: stored weights are rounded, and a spread measured over few starts may be too small."""


def recheck_returns(
    domain: ParameterDomain,
    store: PolicyStore,
    policies: int,
    starts: int = 10,
    tasks: Sequence[str] = (),
    on_task: Callable[[str], None] = lambda task: None,
) -> list[Recheck]:
    """Run up to `policies` policies of each task from `starts` fresh starts each.

    Args:
        domain: What its tasks are of.
        store: The policies.
        policies: How many of each task, drawn by the store's digest, so the same every time.
        starts: Fresh starts, the same for the policies of a task.
        tasks: Which tasks; all if empty.
        on_task: Called with each task before it is run.

    Raises:
        UserError: A task that is not of the domain or that the store lacks, numbers below 1, fewer than two starts.
    """
    if policies < 1 or starts < 2:
        raise UserError(
            f"{policies} policies from {starts} starts each: at least one policy and two starts are needed.",
            fix="--rollouts 1 or more, --goals 2 or more",
        )
    names = _checked(store, tasks, domain.parameter)
    found = []
    for number, task in enumerate(names):
        on_task(task)
        seeds = [start_seed("recheck", number * starts + i) for i in range(starts)]
        found.append(_recheck_returns(domain, store, task, policies, seeds, CONFIDENCE / len(names)))
    return found


def _recheck_returns(
    domain: ParameterDomain, store: PolicyStore, task: str, policies: int, seeds: list[int], level: float
) -> Recheck:
    rows = _sample(store, task, policies)
    found = returns(domain, store.layout, store.read(task, rows), [task] * len(rows), seeds)
    scores = found.mean(0)  # of a start, over the policies
    mean, spread, p = float(scores.mean()), float(scores.std(ddof=1)), None
    reach = float(stats.t.ppf(0.975, len(seeds) - 1)) * (spread / len(seeds) ** 0.5)
    recorded, on = _recorded(store, task, rows, "return")
    if recorded is not None:
        p = float(stats.ttest_ind_from_stats(mean, spread, len(seeds), recorded, spread, max(on, 2)).pvalue)
    contradicted = p is not None and recorded is not None and p < level and abs(mean - recorded) > TOLERANCE
    trials = len(rows) * len(seeds)
    return Recheck(task, len(rows), trials, mean, mean - reach, mean + reach, recorded, on, p, contradicted)
