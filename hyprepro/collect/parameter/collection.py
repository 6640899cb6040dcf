"""A collection of experts in a domain of numbers: of which tasks, the route to them, and the settings of every step.

Apart from `settings`, so that no stage depends on how its stores and its card are written. The stages, which load
torch, are imported when they are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from hyprepro.collect.collection import Collection, Estimate, write_pair
from hyprepro.collect.parameter.settings import ExpertTraining, ParameterSelection, ParentTraining
from hyprepro.component import component, setting
from hyprepro.domains.base import Domain
from hyprepro.domains.parameter import ParameterDomain
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import Stage, make_folder, write_atomically
from hyprepro.errors import UserError

if TYPE_CHECKING:
    from hyprepro.collect.parameter.harvest import HarvestParameter
    from hyprepro.collect.parameter.parent import Parent, TrainParent

Route = Literal["parent", "scratch"]
"""How an expert's SAC starts: from the conditioned parent at its task, or from random weights."""

_RELABELS = "-b 'ParentTraining.relabelled=0.0', -b \"ExpertTraining.sharing='none'\"; or leave both out"


@component
class ParameterCollection(Collection):
    """A zoo of experts, one SAC run a task, and offline episodes of all tasks, in a domain whose tasks are numbers."""

    domain: Domain = setting(..., "what the tasks are of")
    name: str = setting("", "stem of the files that are written; empty: the gin file's", pattern=r"^[A-Za-z0-9_-]*$")
    train: tuple[str | float, ...] = setting(
        (),
        "the training tasks, by name or number; none: those that the domain trains on, where `test` is () all of its "
        "grid, but never those of `test`",
    )
    test: tuple[str | float, ...] | None = setting(
        None,
        "tasks whose experts are ceilings only, by name or number; None: those that the domain tests; (): none, where "
        "stores are to serve every split of the tasks",
    )
    route: Route = setting("parent", "how an expert's SAC starts")
    seed: int = setting(0, "seed of all randomness", ge=0)
    parent: ParentTraining = setting(ParentTraining(), "how the parent is trained")
    randomised: ParentTraining | None = setting(
        None, "how one policy for all training tasks is trained beside them (domain randomisation); None: none is"
    )
    experts: ExpertTraining = setting(ExpertTraining(), "how each task goes on from it")
    selection: ParameterSelection = setting(ParameterSelection(), "which policies and episodes are kept")

    def check(self) -> None:
        """The domain is one of numbers, its policies are what this SAC trains, no task stands twice, routes fit."""
        domain, experts = self.of, self.experts
        layout = domain.layout
        if (layout.activations, layout.squash) != (("relu", "relu"), "tanh") or len(set(layout.widths)) > 1:
            raise UserError(
                f"SAC trains policies with two equal hidden layers of ReLU, squashed by tanh; those of {domain.title} "
                f"are {layout.shape}, {', '.join(layout.nonlinearities)}.",
                where=f"{domain.kind}.layout",
                fix="give the domain such a layout, or train elsewhere and import: hyprepro store import-sb3",
            )
        train, test = self.train_tasks, self.test_tasks
        for task in train:
            if task in test:
                raise UserError(
                    f"The training tasks contain {task}, which is for testing.",
                    where="ParameterCollection.train, ParameterCollection.test",
                    fix="leave it out of one of them",
                )
        for tasks in (train, test):
            for task in tasks:
                if tasks.count(task) > 1:
                    raise UserError(
                        f"{task} stands there twice.",
                        where="ParameterCollection.train, ParameterCollection.test",
                        fix="name each task once",
                    )
        if not train:
            raise UserError("Nothing is trained on.", where="ParameterCollection.train", fix="name a task or more")
        if not self.parent.told or (self.randomised is not None and self.randomised.told):
            raise UserError(
                "A parent is told the task, and domain randomisation is not.",
                where="ParentTraining.told, ParameterCollection.parent, ParameterCollection.randomised",
                fix="bind randomised/ParentTraining.told=False, and no other",
            )
        shared = experts.shared(domain.relabels)
        if self.route == "scratch" and shared in ("parent", "all"):
            raise UserError(
                "There is no parent to share with.",
                where="ParameterCollection.route, ExpertTraining.sharing",
                fix="bind ExpertTraining.sharing='experts' or 'none'",
            )
        tested = [task for task in train if task in domain.tested]
        if tested and (self.route == "parent" or shared != "none"):
            raise UserError(
                f"{tested[0]} is trained on and is for testing: other experts would know of its steps.",
                where="ParameterCollection.test, ParameterCollection.route, ExpertTraining.sharing",
                fix='keep what the domain tests: -b "ParameterCollection.test=None"; or let no expert know of another: '
                "-b \"ParameterCollection.route='scratch'\" -b \"ExpertTraining.sharing='none'\"",
            )
        relabelled = [each.relabelled for each in (self.parent, self.randomised) if each is not None]
        if not domain.relabels and (any(relabelled) or shared != "none"):
            raise UserError(
                f"A step of {domain.title} says nothing of another {domain.told}: the dynamics depend on it, and not "
                "the reward alone. So steps can neither be relabelled nor shared.",
                where="ParentTraining.relabelled, ExpertTraining.sharing",
                fix=_RELABELS,
            )

    @property
    def of(self) -> ParameterDomain:
        """The domain, which must be one of numbers (`UserError` if it is not)."""
        if not isinstance(self.domain, ParameterDomain):
            raise UserError(
                f"{self.domain.title} tells its tasks by a {self.domain.told}, not by numbers.",
                where="ParameterCollection.domain",
                fix="bind a domain of numbers: hyprepro list shows the domains",
            )
        return self.domain

    @property
    def bare(self) -> ParameterDomain:
        """The domain without its stores, which are only being made: what counts in the keys of the stages."""
        return self.of.model_copy(update={"policies": "", "trajectories": "", "parents": "", "checked": True})

    @property
    def train_tasks(self) -> tuple[str, ...]:
        """Those that the parent is trained on, and whose experts are training data; in the order of their numbers."""
        given = self.of.sweep if self.test == () else self.of.training
        return self._sorted("train", self.train) or tuple(task for task in given if task not in self.test_tasks)

    @property
    def test_tasks(self) -> tuple[str, ...]:
        """Those whose experts are ceilings only."""
        return self.of.tested if self.test is None else self._sorted("test", self.test)

    def _sorted(self, field: str, tasks: Sequence[str | float]) -> tuple[str, ...]:
        domain = self.of
        try:
            return tuple(sorted((domain.named(task) for task in tasks), key=domain.parameter))
        except UserError as error:
            where = f"ParameterCollection.{field}"
            raise UserError(error.what, where=where, closest=error.closest, fix=error.fix) from None

    @property
    def grown_from(self) -> TrainParent | None:
        """The parent's stage; None on the route "scratch"."""
        return self._parent(self.parent) if self.route == "parent" else None

    @property
    def for_all(self) -> TrainParent | None:
        """The stage of the policy for all tasks; None if none is asked for."""
        return None if self.randomised is None else self._parent(self.randomised)

    def _parent(self, training: ParentTraining) -> TrainParent:
        from hyprepro.collect.parameter.parent import TrainParent

        return TrainParent(self.bare, training, self.train_tasks, self.seed)

    def stages(self) -> Sequence[Stage]:
        """One stage a task, in the order of their numbers, and that of the policy for all."""
        return [*self._harvests(), *([self.for_all] if self.for_all else [])]

    def _harvests(self) -> list[HarvestParameter]:
        """The last stage of each task, in the order of their numbers; everything else hangs on these.

        Training and test tasks never share a stack, so that no training expert learns from a test task's steps.
        """
        from hyprepro.collect.parameter.experts import TrainExperts
        from hyprepro.collect.parameter.harvest import HarvestParameter

        parent, size, domain = self.grown_from, self.experts.agents_at_once, self.bare
        found = []
        for split, tasks in (("train", self.train_tasks), ("test", self.test_tasks)):
            for start in range(0, len(tasks), size):
                some = tasks[start : start + size]
                experts = TrainExperts(domain, parent, self.experts, some, self.seed)
                found += [
                    HarvestParameter(domain, parent, experts, self.selection, task, split, self.seed) for task in some
                ]
        return sorted(found, key=lambda stage: domain.parameter(stage.task))

    def estimate(self, todo: Sequence[Stage]) -> Estimate:
        """By ten seconds of every kind of work on this machine."""
        from hyprepro.collect.parameter.calibration import estimate

        return estimate(self, todo)

    def write(self, cache: ArtifactCache, folder: Path, name: str) -> list[Path]:
        """NAME.policies.h5, NAME.trajectories.h5, NAME-parent.policies.h5 and the like, NAME.md and NAME.svg.

        Each is written whole or not at all; the picture needs matplotlib and is left out without it.
        """
        from hyprepro.collect.parameter.card import data_card
        from hyprepro.reports.figures.profiles import can_draw
        from hyprepro.reports.figures.stores import draw

        make_folder(folder)
        name, selection, layout = self.name or name, self.selection, self.of.layout
        summary = _SUMMARIES[self.route].format(self.of.told)
        route = {"name": self.route, "summary": summary, "collection": self.described()}
        written = write_pair(self._harvests(), cache, folder, name, layout, route, selection.weights, selection.starts)
        card, picture = folder / f"{name}.md", folder / f"{name}.svg"
        paths = {
            kind: _write_parent(self, stage.load(cache.path_of(stage)), folder / f"{name}-{kind}.policies.h5")
            for kind, stage in (("parent", self.grown_from), ("randomised", self.for_all))
            if stage is not None
        }
        write_atomically(card, data_card(name, self, written[0], written[1], paths).encode())
        written += [*paths.values(), card]
        if not can_draw():
            return written
        drawn = [written[0], *(path for kind, path in paths.items() if kind == "parent")]
        write_atomically(picture, draw(self.of, drawn, name)[picture.name])
        return [*written, picture]


_SUMMARIES = {
    "parent": "SAC of one agent a {0}, each grown from one {0}-conditioned SAC agent folded at its {0}",
    "scratch": "SAC of one agent a {0}, from random weights",
}


def _write_parent(collection: ParameterCollection, parent: Parent, path: Path) -> Path:
    """A parent folded at every task, one policy each, and its learning curve."""
    from hyprepro.collect.parameter.loop import start_seed
    from hyprepro.collect.parameter.rollouts import returns
    from hyprepro.stores.policy_store import PolicyStoreWriter

    selection, domain = collection.selection, collection.of
    summary = f"one {domain.told}-conditioned SAC agent, trained on the training {domain.many}, folded at each"
    if not parent.told:
        summary = f"one SAC agent for all {domain.many}, trained on the training {domain.many} and told none"
    curve = {field: np.round(values, 3).tolist() for field, values in parent.curve._asdict().items()}
    route = {
        "name": "parameter-parent" if parent.told else "domain-randomisation",
        "summary": summary,
        "collection": collection.described(),
        "curve": curve,
    }
    starts = [start_seed("scoring", i) for i in range(selection.starts)]
    tasks = sorted(collection.train_tasks + collection.test_tasks, key=domain.parameter)
    flat = np.stack([parent.policy(task) for task in tasks]).astype(selection.weights).astype(np.float32)
    found = returns(domain, domain.layout, flat, tasks, starts).mean(1)
    steps = int(parent.curve.steps[-1])
    with PolicyStoreWriter(path, domain.layout, route, selection.weights) as writer:
        for task, params, score in zip(tasks, flat, found, strict=True):
            split = "train" if task in collection.train_tasks else "test"
            writer.append(task, params[None], collection.seed, steps, math.nan, selection.starts, score, split)
    return path
