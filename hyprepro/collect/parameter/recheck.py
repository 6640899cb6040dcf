"""Whether a store's recorded returns hold: a sample of its policies again, from fresh starts.

All policies of a task were scored from the same few starts, so the recorded mean counts as one measurement on those,
however many policies share it. Both means are compared by Welch's t-test with the measured spread over starts, and a
difference of less than `TOLERANCE` contradicts nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from hyprepro.collect.parameter.loop import start_seed
from hyprepro.collect.parameter.rollouts import returns
from hyprepro.collectors.recheck import CONFIDENCE, Recheck
from hyprepro.domains.parameter import ParameterDomain
from hyprepro.errors import UserError
from hyprepro.stores.policy_store import PolicyStore

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
    names = list(tasks) or list(store.tasks)
    if policies < 1 or starts < 2:
        raise UserError(
            f"{policies} policies from {starts} starts each: at least one policy and two starts are needed.",
            fix="--rollouts 1 or more, --goals 2 or more",
        )
    for task in names:
        domain.parameter(task)
        if not store.count(task):
            raise UserError(
                f"The store has no policy of {task}.",
                where=store.where,
                fix=f"leave out --task {task}; what the store has: hyprepro store info {store.where}",
            )
    found = []
    for number, task in enumerate(names):
        on_task(task)
        seeds = [start_seed("recheck", number * starts + i) for i in range(starts)]
        found.append(_recheck(domain, store, task, policies, seeds, CONFIDENCE / len(names)))
    return found


def _recheck(
    domain: ParameterDomain, store: PolicyStore, task: str, policies: int, seeds: list[int], level: float
) -> Recheck:
    draw = int.from_bytes(hashlib.sha256(f"{store.digest}/{task}".encode()).digest()[:8], "big")
    rows = np.sort(np.random.default_rng(draw).permutation(store.count(task))[:policies])
    found = returns(domain, store.layout, store.read(task, rows), [task] * len(rows), seeds)
    scores = found.mean(0)  # of a start, over the policies
    mean, error = float(scores.mean()), float(scores.std(ddof=1)) / len(seeds) ** 0.5
    reach = float(stats.t.ppf(0.975, len(seeds) - 1)) * error
    meta = store.meta(task)
    rated = rows[meta["episodes"][rows] > 0]
    recorded = p = None
    on = 0
    if len(rated):
        recorded, on = float(meta["return"][rated].mean()), int(meta["episodes"][rated].min())
        spread = float(scores.std(ddof=1))
        p = float(stats.ttest_ind_from_stats(mean, spread, len(seeds), recorded, spread, max(on, 2)).pvalue)
    contradicted = p is not None and recorded is not None and p < level and abs(mean - recorded) > TOLERANCE
    trials = len(rows) * len(seeds)
    return Recheck(task, len(rows), trials, mean, mean - reach, mean + reach, recorded, on, p, contradicted)
