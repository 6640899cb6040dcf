"""How Meta-World experts are trained and selected, and on which goals; `collection` says of which tasks.

A task has 1/100 of each range of goal seeds, at a place that follows from its name and from the collection's seed:
`task_goal`.
"""

from __future__ import annotations

import hashlib
from typing import Literal, NamedTuple

from hyprepro.component import Component, component, setting
from hyprepro.domains.metaworld.tasks import COLLECTION, Goal, check_task
from hyprepro.policies.layout import Precision

Route = Literal["clones", "independent", "scratch"]
"""How SAC starts and whether it is shown anything.

"clones": from DAgger clones of scripted experts grown from one parent, the same clone for all runs of a task.
"independent": every run from random weights of its own, with a cloning term: the scripted expert says what it would do
in the states that this run visits. "scratch": every run from random weights of its own, without demonstrations.
"""

CLONING, SAC = COLLECTION[:100_000], COLLECTION[100_000:700_000]
"""Goal seeds of the episodes that are trained on: 1,000 a task for DAgger, 6,000 for SAC."""

SCORING, RECHECK = COLLECTION[700_000:800_000], COLLECTION[800_000:]
"""Of a checkpoint's score, 1,000 a task, and of `store verify --rollouts`, 2,000: on none of them a policy was trained,
nor were the bundled ones, whose goals all lie below `RECHECK`."""

PLACES = 100
"""Into how many equal parts tasks divide a range."""

_SALT = 2_469_334
"""The least number with which all of Meta-World's fifty tasks have places of their own."""

_GOALS_BETWEEN_SAC_SEEDS = 500

PROMPTS_BETWEEN_RUNS = 400
"""Goals that each run of a task has for its prompts, where runs are harvested one by one."""

_RUNS_BETWEEN_COLLECTIONS = 1000


@component
class CloneSettings(Component):
    """How scripted experts are cloned."""

    slot = "cloning"
    smallest_scale: float = setting(0.05, "floor of an observation's scale in the normalisation, in its own unit", gt=0)
    parent_rounds: int = setting(5, "DAgger rounds of the common parent", ge=0)
    rounds: int = setting(8, "DAgger rounds of each task's own clone", ge=1)
    episodes: int = setting(10, "episodes a task and round", ge=1)
    episode_steps: int = setting(150, "longest episode, in steps", ge=1)
    steps_after_success: int = setting(15, "steps recorded after the first success", ge=0)
    updates: int = setting(800, "gradient steps a round", ge=1)
    final_updates: int = setting(4000, "gradient steps after the last round, with a decaying step size", ge=0)
    batch_size: int = setting(256, "states an update and task", ge=1)
    learning_rate: float = setting(1e-3, "Adam step size", gt=0)
    noise: float = setting(0.2, "standard deviation of the noise on the actions executed in every other episode", ge=0)
    initial_log_std: float = setting(
        -2.4, "log standard deviation of the clones' untrained head: near SAC's target entropy"
    )


@component
class Selection(Component):
    """Which policies are stored, how good they must be, and what is recorded of them."""

    slot = "selection"
    train_seeds: int = setting(3, "SAC seeds a seen task whose policies train the generator", ge=1, le=10)
    test_seeds: int = setting(
        1, "further SAC seeds a task: nothing is trained on their policies, they give test prompts only", ge=1, le=2
    )
    train_policies: int = setting(20, "stored training policies a task and SAC seed: accepted checkpoints", ge=1)
    train_stride: int = setting(
        1,
        "of a training seed's checkpoints, in a spread of every seed's, every so many is tried, from the last back",
        ge=1,
    )
    rule: Literal["last", "spread"] = setting(
        "last",
        "which accepted checkpoints are stored: the last ones, or some of all stages of a run, spread evenly over all "
        "that are accepted",
    )
    test_policies: int = setting(
        10, "stored policies of each test seed: a SAC run of its own that gives test prompts only", ge=1
    )
    prompt_policies: int = setting(
        0,
        "further stored policies of each training seed, accepted checkpoints too (of the last ones the first, of a "
        "spread some in between): nothing is trained on them, they give test prompts from training runs",
        ge=0,
    )
    acceptance: float = setting(0.8, "smallest success rate of a stored policy", ge=0, le=1)
    score_goals: int = setting(20, "fresh goals on which each checkpoint is scored", ge=1, le=1000)
    score_steps: int = setting(
        150, "length of a scoring episode: success must come within it, and the return is summed over it", ge=1, le=500
    )
    train_prompts: int = setting(2, "prompts recorded of each training policy, each on a goal of its own", ge=1)
    validation_prompts: int = setting(
        20, "validation prompts a seen task, from training policies on further goals", ge=0
    )
    test_prompts: int = setting(
        100,
        "test prompts a task from its test seeds, and as many from its training seeds",
        source="Make-An-Agent",
        ge=1,
    )
    weights: Precision = setting("float16", "how stored weights are kept")


class Agent(NamedTuple):
    """One SAC run."""

    task: str
    seed: int


def task_place(task: str) -> int:
    """A task's place, from 0 to `PLACES` - 1: of its name alone, whatever other tasks there are; no two share one.

    Raises:
        UserError: Unknown task.
    """
    digest = hashlib.sha256(f"{_SALT}/{check_task(task)}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % PLACES


def goals_a_task(seeds: range) -> int:
    """How many goals each task has in a range of seeds."""
    return len(seeds) // PLACES


def task_goal(seeds: range, task: str, index: int, collection: int = 0) -> Goal:
    """The `index`-th goal of a task within a range of seeds; they repeat after `goals_a_task`.

    Args:
        seeds: The range.
        task: The task; a collection's tasks share no goal.
        index: From 0.
        collection: The collection's seed; a task's goals in two collections differ if their seeds modulo 100 do.

    Raises:
        UserError: Unknown task.
    """
    count = goals_a_task(seeds)
    place = (task_place(task) + collection) % PLACES
    return Goal("fresh", seeds.start + place * count + index % count)


def training_goal(agent: Agent, episode: int, collection: int = 0) -> Goal:
    """The goal of one SAC run's training episode: runs go through the task's goals, and each begins 500 further on."""
    return task_goal(SAC, agent.task, agent.seed * _GOALS_BETWEEN_SAC_SEEDS + episode, collection)


def stored_seed(collection: int, run: int) -> int:
    """The number by which stores know a run: runs of collections with different seeds have different ones."""
    return collection * _RUNS_BETWEEN_COLLECTIONS + run
