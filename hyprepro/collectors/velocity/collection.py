"""A collection of Cheetah-Vel experts: the grid, the route to experts, and the settings of every step.

Apart from `settings`, so that no stage depends on how its stores and its card are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import field_validator, model_validator

from hyprepro.collectors.base import Collection, Estimate
from hyprepro.collectors.velocity.settings import ExpertTraining, ParentTraining, VelocitySelection
from hyprepro.component import component, setting
from hyprepro.domains.cheetah_vel.tasks import LARGEST_VELOCITY, TEST_INDICES, training_indices, velocity_grid
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import Stage

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
        from hyprepro.collectors.velocity.collect import stages_of

        return stages_of(self)

    def estimate(self, todo: Sequence[Stage]) -> Estimate:
        """By ten seconds of every kind of work on this machine."""
        from hyprepro.collectors.velocity.calibration import estimate

        return estimate(self, todo)

    def write(self, cache: ArtifactCache, folder: Path, name: str) -> list[Path]:
        """NAME.policies.h5, NAME.trajectories.h5, NAME-parent.policies.h5, NAME.md and NAME.svg."""
        from hyprepro.collectors.velocity.collect import write_stores

        return write_stores(self, cache, folder, name)
