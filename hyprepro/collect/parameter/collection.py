"""A collection of Cheetah-Vel experts: the grid, the route to experts, and the settings of every step.

Apart from `settings`, so that no stage depends on how its stores and its card are written.

The data card beside the Cheetah-Vel stores, written from the stores themselves.

From the settings of a Cheetah-Vel collection to its stages, and from their artifacts to the stores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import field_validator, model_validator

from hyprepro.collect.collection import Collection, Estimate
from hyprepro.collect.metaworld.collection import write_pair
from hyprepro.collect.parameter.experts import TrainExperts
from hyprepro.collect.parameter.harvest import SIGNIFICANT_BITS, HarvestVelocity
from hyprepro.collect.parameter.loop import start_seed
from hyprepro.collect.parameter.parent import Parent, TrainParent
from hyprepro.collect.parameter.rollouts import returns
from hyprepro.collect.parameter.settings import ExpertTraining, ParentTraining, VelocitySAC, VelocitySelection
from hyprepro.component import component, setting
from hyprepro.domains.cheetah_vel.tasks import (
    HORIZON,
    LARGEST_VELOCITY,
    TEST_INDICES,
    training_indices,
    velocity_grid,
    velocity_task,
)
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import Stage, make_folder, write_atomically
from hyprepro.policies.layout import CHEETAH_LAYOUT
from hyprepro.reports.figures.profiles import can_draw
from hyprepro.reports.figures.velocities import draw
from hyprepro.stores.info import store_info
from hyprepro.stores.policy_store import PolicyStoreWriter

Route = Literal["parent", "scratch"]
"""How an expert's SAC starts: from the velocity-conditioned parent at its velocity, or from random weights."""


@component
class VelocityCollection(Collection):
    """A zoo of Cheetah-Vel experts, one SAC run a velocity, and offline episodes of all velocities."""

    first: float = setting(
        0.075,
        "first velocity of the grid, m/s; the paper's Figure 3 implies 0",
        source="MACAW",
        ge=0,
        le=LARGEST_VELOCITY,
    )
    last: float = setting(3.0, "last velocity of the grid, m/s", source="MACAW", ge=0, le=LARGEST_VELOCITY)
    count: int = setting(40, "velocities of the grid", source="paper", ge=2, le=1000)
    train: tuple[int, ...] = setting(
        training_indices(), "grid indices of the training velocities", source="paper", min_length=1
    )
    test: tuple[int, ...] = setting(TEST_INDICES, "grid indices of the test velocities", source="paper")
    route: Route = setting("parent", "how an expert's SAC starts")
    seed: int = setting(0, "seed of all randomness", ge=0)
    parent: ParentTraining = setting(ParentTraining(), "how the parent is trained")
    experts: ExpertTraining = setting(ExpertTraining(), "how each velocity goes on from it")
    selection: VelocitySelection = setting(VelocitySelection(), "which policies and episodes are kept")

    @field_validator("train", "test")
    @classmethod
    def _distinct(cls, indices: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(indices)) != len(indices):
            raise ValueError("a velocity stands there twice")
        return indices

    @model_validator(mode="after")
    def _consistent(self) -> VelocityCollection:
        both, outside = set(self.train) & set(self.test), [i for i in self.train + self.test if not 0 <= i < self.count]
        if both:
            named = ", ".join(f"{i} ({self.grid[i]:.3f} m/s)" for i in sorted(both))
            raise ValueError(f"the training velocities contain the test velocities {named}")
        if outside:
            raise ValueError(f"index {outside[0]} lies outside the grid of {self.count} velocities")
        if self.last <= self.first or len(set(self.grid)) != self.count:
            raise ValueError("the grid must rise, by at least 0.001 m/s a step")
        if self.route == "scratch" and self.experts.sharing in ("parent", "all"):
            raise ValueError("there is no parent to share with: bind ExpertTraining.sharing='experts' or 'none'")
        return self

    @property
    def grid(self) -> tuple[float, ...]:
        """All velocities in m/s."""
        return velocity_grid(self.first, self.last, self.count)

    @property
    def train_velocities(self) -> tuple[float, ...]:
        """Those that the parent is trained on, and whose experts are training data."""
        return tuple(self.grid[i] for i in sorted(self.train))

    @property
    def test_velocities(self) -> tuple[float, ...]:
        """Those whose experts are ceilings only."""
        return tuple(self.grid[i] for i in sorted(self.test))

    def stages(self) -> Sequence[Stage]:
        """One stage a velocity, in ascending order."""
        return stages_of(self)

    def estimate(self, todo: Sequence[Stage]) -> Estimate:
        """By ten seconds of every kind of work on this machine."""
        from hyprepro.collect.parameter.calibration import estimate

        return estimate(self, todo)

    def write(self, cache: ArtifactCache, folder: Path, name: str) -> list[Path]:
        """NAME.policies.h5, NAME.trajectories.h5, NAME-parent.policies.h5, NAME.md and NAME.svg."""
        return write_stores(self, cache, folder, name)


def data_card(
    name: str, collection: VelocityCollection, policies: Path, trajectories: Path, parent: Path | None = None
) -> str:
    """Markdown: contents and quality by velocity, route, schedule, versions, limits."""
    zoo, episodes = store_info(policies), store_info(trajectories)
    folded = store_info(parent)["tasks"] if parent is not None else {}
    training, selection = collection.experts, collection.selection
    rows = [_row(t, zoo["tasks"][t], folded.get(t), episodes["tasks"].get(t, {"counts": {}})) for t in zoo["tasks"]]
    versions = ", ".join(f"{library} {version}" for library, version in zoo["versions"].items())
    recipe = _selection_lines(training, selection) + _expert_lines(training) + _parent_lines(collection)
    means = _means(zoo["tasks"], folded)
    tested = ", ".join(f"{v:.3f}" for v in collection.test_velocities)
    return f"""# Data card: {name}

Made by `hyprepro collect {name}`; written by that command, not by hand.

| velocity | split | policies | return: expert (mean of stored, last) | return: parent | episodes (offline / prompts) |
| --- | --- | --- | --- | --- | --- |
{chr(10).join(rows)}
{means}

![Return against velocity and learning curves]({name}.svg)

- **Return** is the undiscounted sum over 200 steps of -|x_velocity - v*| - 0.05 sum(a^2), the mean over
  {selection.starts} fresh starts of the deterministic policy, measured on the stored (rounded) weights. The environment
  has no success flag.
- **Policies**: {zoo["route"]["summary"]}.
  MLPs 17 -> 64 -> 64 with mean and log-std heads of 6, ReLU, 6,092 parameters, {selection.weights}; the deterministic
  action is tanh(mean). Weights act on raw observations.
{recipe}- **Test velocities** ({tested}): the parent never stepped nor was relabelled with
  them; their experts are ceilings, trained in a stack of their own.
- **Episodes** hold 200 steps: first the offline ones with SAC's exploration noise, {selection.offline_episodes} of
  sources from early to late and {selection.expert_episodes} of stored experts (split train, of test velocities split
  test), then {selection.prompt_episodes} deterministic ones of stored experts (split validation). Numbers are rounded
  to {SIGNIFICANT_BITS} significant bits.
- **Limits**: checkpoints of one run are close to each other, and with a parent all runs start from it: policies of
  neighbouring velocities are closer than those of independent runs would be.{_worse_than_parent(zoo["tasks"], folded)}
- **Versions**: {versions}. Results on another MuJoCo version are not comparable.
- **Digests**: policies `{zoo["digest"]}`, trajectories `{episodes["digest"]}`.
- **Licence**: that of this repository. No data of others is contained.
"""


def _selection_lines(training: ExpertTraining, selection: VelocitySelection) -> str:
    every, begun = training.checkpoint_every, max(training.checkpoints_from, training.checkpoint_every)
    made, steps = 1 + (training.updates - begun) // every, every / training.updates_per_step
    stored = f"{selection.rule} {selection.policies}" + f" of every {selection.stride}th" * (selection.stride > 1)
    lines = [
        f"- **Which policies**: each velocity's run leaves {made} checkpoints, one every {steps:,.0f} steps",
        f"  ({every:,} updates) from step {_steps(training, begun):,} on. Stored are the {stored}.",
        "  `step` counts the environment steps of that run alone.",
    ]
    if selection.acceptance is not None:
        lines += [
            f"  A checkpoint that returns more than {selection.acceptance:g} less than the policy that its run started",
            "  from is passed over.",
        ]
    return "\n".join(lines) + "\n"


def _expert_lines(training: ExpertTraining) -> str:
    sac, own = training.sac, _steps(training, training.updates)
    return (
        f"- **SAC of an expert**: {training.updates:,} updates of {sac.batch_size} transitions, "
        f"{training.updates_per_step:g} an environment step\n  ({own:,} steps a velocity), {_sac_line(sac)},\n"
        f"  transitions shared: {training.sharing}.\n"
    )


def _steps(training: ExpertTraining, updates: int) -> int:
    """Environment steps of one agent after so many updates, those before the first included."""
    return round(updates / training.updates_per_step) + training.first_rounds * HORIZON


def _parent_lines(collection: VelocityCollection) -> str:
    if collection.route != "parent":
        return ""
    training = collection.parent
    return (
        f"- **Parent**: {training.updates} updates of {training.sac.batch_size} transitions, "
        f"{training.updates_per_step} an environment step,\n  {training.environments} cheetahs at random training "
        f"velocities, {training.relabelled:.0%} of each batch relabelled with random ones,\n  "
        f"{_sac_line(training.sac)}. Its velocity input is folded into the first\n  layer's bias.\n"
    )


def _worse_than_parent(zoo: dict[str, Any], folded: dict[str, Any]) -> str:
    """Velocities at which going on made it worse, by more than a return of 1."""
    worse = [task for task in folded if zoo[task]["return_mean"] < folded[task]["return_mean"] - 1.0]
    if not worse:
        return ""
    named = ", ".join(task.removeprefix("velocity-") for task in worse)
    return f"\n  The stored experts are worse than the folded parent by more than 1 at: {named} m/s."


def _sac_line(sac: VelocitySAC) -> str:
    return (
        f"step size {sac.learning_rate:g} falling to {sac.last_learning_rate:g}, critics {sac.critic_width} wide, "
        f"target entropy {sac.target_entropy:g}"
    )


def _row(task: str, zoo: dict[str, Any], folded: dict[str, Any] | None, episodes: dict[str, Any]) -> str:
    counts, recorded = zoo["counts"], episodes["counts"]
    offline = recorded.get("train", 0) + recorded.get("test", 0)
    cells = (
        task.removeprefix("velocity-"),
        "test" if "test" in counts else "train",
        str(sum(counts.values())),
        f"{zoo['return_mean']:.1f}, {zoo['return_last']:.1f}",
        f"{folded['return_mean']:.1f}" if folded else "-",
        f"{offline} / {recorded.get('validation', 0)}",
    )
    return f"| {' | '.join(cells)} |"


def _means(zoo: dict[str, Any], folded: dict[str, Any]) -> str:
    lines = []
    for split, label in (("train", "training velocities"), ("test", "test velocities"), ("", "all")):
        tasks = [task for task, content in zoo.items() if not split or split in content["counts"]]
        if not tasks:
            continue
        values = [f"{np.mean([zoo[task][field] for task in tasks]):.1f}" for field in ("return_mean", "return_last")]
        parent = f"{np.mean([folded[task]['return_mean'] for task in tasks]):.1f}" if folded else "-"
        lines.append(f"| mean of {len(tasks)} {label} | {split or '-'} | | {', '.join(values)} | {parent} | |")
    return "\n".join(lines)


_SUMMARIES = {
    "parent": "SAC of one agent a velocity, each grown from one velocity-conditioned SAC agent folded at its velocity",
    "scratch": "SAC of one agent a velocity, from random weights",
}


def parent_of(collection: VelocityCollection) -> TrainParent | None:
    """The parent's stage; None on the route "scratch"."""
    if collection.route == "scratch":
        return None
    return TrainParent(collection.parent, collection.train_velocities, collection.seed)


def stages_of(collection: VelocityCollection) -> list[HarvestVelocity]:
    """The last stage of each velocity, ascending; everything else hangs on these.

    Training and test velocities never share a stack, so that no training expert learns from a test velocity's steps.
    """
    parent, size = parent_of(collection), collection.experts.agents_at_once
    found = []
    for split, velocities in (("train", collection.train_velocities), ("test", collection.test_velocities)):
        for start in range(0, len(velocities), size):
            some = velocities[start : start + size]
            experts = TrainExperts(parent, collection.experts, some, collection.seed)
            found += [
                HarvestVelocity(parent, experts, collection.selection, velocity, split, collection.seed)
                for velocity in some
            ]
    return sorted(found, key=lambda stage: stage.velocity)


def route_of(collection: VelocityCollection) -> dict[str, Any]:
    """What the stores, the data card and every result say about where the policies come from."""
    return {"name": collection.route, "summary": _SUMMARIES[collection.route], "collection": collection.described()}


def write_stores(collection: VelocityCollection, cache: ArtifactCache, folder: Path, name: str) -> list[Path]:
    """Write the zoo, the offline episodes, the folded parent (if there is one), the card and its picture.

    Each is written whole or not at all; the picture needs matplotlib and is left out without it.

    Returns:
        The files.
    """
    make_folder(folder)
    route, stages, selection = route_of(collection), stages_of(collection), collection.selection
    written = write_pair(stages, cache, folder, name, CHEETAH_LAYOUT, route, selection.weights, selection.starts)
    parent, card, picture = parent_of(collection), folder / f"{name}.md", folder / f"{name}.svg"
    if parent is not None:
        written.append(_write_parent(collection, parent.load(cache.path_of(parent)), folder, name))
    write_atomically(card, data_card(name, collection, *written).encode())
    if not can_draw():
        return [*written, card]
    write_atomically(picture, draw([written[0], *written[2:]], name)[picture.name])
    return [*written, card, picture]


def _write_parent(collection: VelocityCollection, parent: Parent, folder: Path, name: str) -> Path:
    """The parent folded at every velocity, one policy each, and its learning curve."""
    path, selection = folder / f"{name}-parent.policies.h5", collection.selection
    curve = {field: np.round(values, 3).tolist() for field, values in parent.curve._asdict().items()}
    route = {
        "name": "velocity-parent",
        "summary": "one velocity-conditioned SAC agent, trained on the training velocities, folded at each velocity",
        "collection": collection.described(),
        "curve": curve,
    }
    starts = [start_seed("scoring", i) for i in range(selection.starts)]
    velocities = sorted(collection.train_velocities + collection.test_velocities)
    flat = np.stack([parent.policy(v) for v in velocities]).astype(selection.weights).astype(np.float32)
    found = returns(flat, np.array(velocities), starts).mean(1)
    steps = int(parent.curve.steps[-1])
    with PolicyStoreWriter(path, CHEETAH_LAYOUT, route, selection.weights) as writer:
        for velocity, params, score in zip(velocities, flat, found, strict=True):
            split = "train" if velocity in collection.train_velocities else "test"
            task = velocity_task(velocity)
            writer.append(task, params[None], collection.seed, steps, math.nan, selection.starts, score, split)
    return path
