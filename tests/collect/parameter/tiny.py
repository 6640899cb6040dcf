"""Settings of a Cheetah-Vel collection that takes seconds, for the tests of its stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hyprepro.collect.parameter.parent import TrainParent
from hyprepro.collect.parameter.settings import ExpertTraining, ParentTraining, VelocitySAC, VelocitySelection
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import Report, Stage

SAC = VelocitySAC(batch_size=8, critic_width=8)
PARENT = TrainParent(
    ParentTraining(
        sac=SAC, updates=60, environments=2, updates_per_step=0.075, first_rounds=1, report_every=20, checkpoints=3
    ),
    (0.3, 1.05, 2.55),
    0,
)
EXPERTS = ExpertTraining(sac=SAC, updates=20, updates_per_step=0.05, checkpoint_every=5)
FEW = VelocitySelection(policies=2, starts=1, offline_episodes=2, expert_episodes=1, prompt_episodes=1)


def made(stage: Stage, cache: ArtifactCache, work: Path, report: Report | None = None) -> Any:
    work.mkdir(exist_ok=True)
    stage.run(work, {name: cache.make(source) for name, source in stage.inputs.items()}, report or Report())
    return stage.load(work)
