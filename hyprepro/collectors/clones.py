"""The stage that clones the scripted experts (DAgger, one parent, one clone a task)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from hyprepro.collect.sac.networks import Normaliser, Parameters
from hyprepro.collectors.checkpoint import load_checkpoint, save_checkpoint
from hyprepro.collectors.collection import CloneSettings, Route, task_goal
from hyprepro.collectors.dagger import (
    Dataset,
    children,
    clone,
    controller,
    labelled_episode,
    parent_parameters,
)
from hyprepro.domains.metaworld.env import MetaWorldEnv
from hyprepro.domains.metaworld.tasks import COLLECTION
from hyprepro.engine.stage import Report, Stage
from hyprepro.policies.layout import METAWORLD_LAYOUT


class Clones(NamedTuple):
    """The result: stacked actors in normalised coordinates, one a task (seen ones first), and the coordinates."""

    actors: Parameters
    normaliser: Normaliser


@dataclass(frozen=True)
class CloneExperts(Stage):
    """DAgger for all tasks of a collection; the route "scratch" only measures the normalisation of observations."""

    kind: ClassVar[str] = "clones"
    cloning: CloneSettings
    route: Route
    seen_tasks: tuple[str, ...]
    unseen_tasks: tuple[str, ...]
    seed: int

    @property
    def cost(self) -> float:
        """About half a minute a round."""
        return 30.0 * (self.cloning.rounds + self.cloning.parent_rounds)

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write clones.safetensors (actors), normaliser.safetensors and rounds.json (success of every round)."""
        _Cloning(self, work, report).run()

    def load(self, path: Path) -> Clones:
        """The clones."""
        scales = load_file(path / "normaliser.safetensors")
        normaliser = Normaliser(scales["mean"].numpy(), scales["scale"].numpy())
        actors = load_file(path / "clones.safetensors") if (path / "clones.safetensors").exists() else {}
        return Clones(actors, normaliser)


class _Cloning:
    """The rounds, with a checkpoint after each."""

    def __init__(self, stage: CloneExperts, work: Path, report: Report) -> None:
        self.stage, self.settings = stage, stage.cloning
        self.work, self.report = work, report
        self.tasks = stage.seen_tasks + stage.unseen_tasks
        self.envs = [MetaWorldEnv(task) for task in self.tasks]
        self.datasets = [Dataset() for _ in self.tasks]
        self.rng = np.random.default_rng(stage.seed)
        self.rounds: list[dict[str, Any]] = []
        self.parameters: Parameters = {}

    def run(self) -> None:
        """All rounds, from the last checkpoint on."""
        self._restore()
        seen, settings = len(self.stage.seen_tasks), self.settings
        if not self.rounds:
            self._round("expert", 0, len(self.tasks))
        normaliser = self._normaliser()
        if self.stage.route == "scratch":
            self._finish(normaliser)
            return
        total = settings.parent_rounds + settings.rounds + 2
        while len(self.rounds) < total:
            done = len(self.rounds)
            if done == 1:
                generator = torch.Generator().manual_seed(self.stage.seed)
                self.parameters = parent_parameters(METAWORLD_LAYOUT, seen, settings, generator)
            if done == 1 + settings.parent_rounds:
                self.parameters = children(self.parameters, seen, len(self.tasks) - seen)
            last = done == total - 1
            count = seen if done < 1 + settings.parent_rounds else len(self.tasks)
            updates = settings.final_updates if last else settings.updates
            clone(self.parameters, self.datasets[:count], normaliser, settings, updates, last, self.rng)
            self._round("parent" if count < len(self.tasks) else "clone", done, count, normaliser)
            self.report.progress(done + 1, total, success=float(np.mean(list(self.rounds[-1]["success"].values()))))
        self._finish(normaliser)

    def _round(self, name: str, number: int, count: int, normaliser: Normaliser | None = None) -> None:
        """Every task's episodes of one round with the present policies, labelled by the expert."""
        success = {}
        for i, task in enumerate(self.tasks[:count]):
            act = controller(self.parameters, i, normaliser) if normaliser else None
            solved = 0
            for episode in range(self.settings.episodes):
                noise = self.settings.noise * (episode % 2)
                goal = task_goal(COLLECTION, task, number * self.settings.episodes + episode)
                observations, labels, done = labelled_episode(self.envs[i], goal, act, self.settings, noise, self.rng)
                self.datasets[i].observations.append(observations)
                self.datasets[i].actions.append(labels)
                solved += done
            success[task] = solved / self.settings.episodes
        self.rounds.append({"round": name, "success": success})
        self._checkpoint()

    def _normaliser(self) -> Normaliser:
        """Fitted to the experts' own episodes of the seen tasks, so that it does not depend on the rounds."""
        first = self.settings.episodes
        rows = [o for data in self.datasets[: len(self.stage.seen_tasks)] for o in data.observations[:first]]
        return Normaliser.fit(np.concatenate(rows), self.settings.smallest_scale)

    def _finish(self, normaliser: Normaliser) -> None:
        scales = {"mean": torch.from_numpy(normaliser.mean), "scale": torch.from_numpy(normaliser.scale)}
        save_file(scales, self.work / "normaliser.safetensors")
        if self.parameters:
            save_file({name: t.contiguous() for name, t in self.parameters.items()}, self.work / "clones.safetensors")
        (self.work / "rounds.json").write_text(json.dumps(self.rounds, indent=1))

    def _checkpoint(self) -> None:
        def packed(parts: list[NDArray[np.float32]]) -> list[torch.Tensor]:
            return [torch.from_numpy(part) for part in parts]

        state = {
            "rounds": self.rounds,
            "parameters": self.parameters,
            "observations": [packed(data.observations) for data in self.datasets],
            "actions": [packed(data.actions) for data in self.datasets],
            "rng": json.dumps(self.rng.bit_generator.state),
        }
        save_checkpoint(self.work, state)

    def _restore(self) -> None:
        state = load_checkpoint(self.work)
        if state is None:
            return
        self.rounds, self.parameters = state["rounds"], state["parameters"]
        for data, observations, actions in zip(self.datasets, state["observations"], state["actions"], strict=True):
            data.observations = [part.numpy() for part in observations]
            data.actions = [part.numpy() for part in actions]
        self.rng.bit_generator.state = json.loads(state["rng"])
