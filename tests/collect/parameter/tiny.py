"""Settings of a Cheetah-Vel collection that takes seconds, for the tests of its stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hyprepro.collect.parameter.parent import TrainParent
from hyprepro.collect.parameter.settings import ExpertTraining, ParameterSelection, ParentTraining
from hyprepro.collect.sac.settings import ParameterSAC
from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import Report, Stage

SAC = ParameterSAC(batch_size=8, critic_width=8)
DOMAIN = CheetahVel(policies="", trajectories="")
PARENT = TrainParent(
    DOMAIN,
    ParentTraining(
        sac=SAC, updates=60, environments=2, updates_per_step=0.075, first_rounds=1, report_every=20, checkpoints=3
    ),
    ("velocity-0.300", "velocity-1.050", "velocity-2.550"),
    0,
)
EXPERTS = ExpertTraining(sac=SAC, updates=20, updates_per_step=0.05, checkpoint_every=5)
FEW = ParameterSelection(policies=2, starts=1, offline_episodes=2, expert_episodes=1, prompt_episodes=1)


def made(stage: Stage, cache: ArtifactCache, work: Path, report: Report | None = None) -> Any:
    work.mkdir(exist_ok=True)
    stage.run(work, {name: cache.make(source) for name, source in stage.inputs.items()}, report or Report())
    return stage.load(work)
