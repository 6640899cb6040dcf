"""The suite's cheetah told how fast to run, how long its torso is, or both: three domains of one simulator."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from hyprepro.component import component, setting
from hyprepro.domains.dm_control.tasks import (
    AT_MARGIN,
    HORIZON,
    LENGTHS,
    PAIRS,
    SPEEDS,
    SPLITS,
    USUAL_SPEED,
    run_reward,
    tested_places,
)
from hyprepro.domains.parameter import ParameterDomain
from hyprepro.errors import UserError
from hyprepro.policies.layout import PolicyLayout

if TYPE_CHECKING:
    from hyprepro.domains.base import Data
    from hyprepro.domains.dm_control.env import ControlCheetahs

_SCORE = (
    f"the undiscounted sum over {HORIZON} steps of a reward that rises from {AT_MARGIN} at rest to 1 at the target "
    "speed and stays 1 beyond it, so that running faster than asked costs nothing; the wrong way it falls to 0"
)


class ControlCheetah(ParameterDomain):
    """Base of the three: `cheetah` of the DeepMind Control Suite for ten seconds, which is a truncation.

    A fifth of the contexts is trained on, the rest is for testing, as HyPoGen prints; HyperZero's release tests on 15%.
    Stores of all contexts serve every split: those that it tests are withheld from training.
    """

    layout: ClassVar[PolicyLayout] = PolicyLayout.mlp(17, 128, 6, ("relu", "relu"))
    horizon: ClassVar[int] = HORIZON
    score: ClassVar[str] = _SCORE
    camera: ClassVar[str] = "side"
    episode_seconds: ClassVar[float] = 0.5
    contexts: ClassVar[tuple[tuple[float, ...], ...]]
    """All of them, ascending."""

    test_share: float = setting(0.8, "share of the contexts that is for testing", gt=0, lt=1, source="HyPoGen")
    split: int = setting(SPLITS[0], f"seed of the split; the published ones are {SPLITS}", ge=0, source="HyPoGen")

    @property
    def grid(self) -> tuple[tuple[float, ...], ...]:
        """All contexts."""
        return self.contexts

    @property
    def tests(self) -> tuple[int, ...]:  # type: ignore[override]  # here a split is a setting
        """Places of the contexts that are for testing."""
        return tested_places(self.contexts, self.test_share, self.split)

    def check(self) -> None:
        """There are contexts to train on and to test at."""
        super().check()
        tested, count = len(self.tests), len(self.contexts)
        if not tested or tested == count:
            raise UserError(
                f"Of {count} {self.many} {tested} would be for testing, and {count - tested} to train on.",
                where=f"{self.kind}.test_share",
                fix="bind a share that leaves one or more to train on, and one or more to test at: 0.8",
            )

    def data(self, withheld: Collection[str] = ()) -> Data:
        """All stores; nothing is trained on at a context that the split tests, although the stores could.

        So one collection of all contexts serves every split.

        Raises:
            UserError: As for any domain; the stores keep a context for testing that this split trains on.
        """
        with self.open_policies() as store:
            trained = [task for task in store.tasks if store.count(task, "train")]
            kept = [task for task in self.training if task in store.tasks and task not in trained]
            where = store.where
        if kept:
            raise UserError(
                f"The split trains on {kept[0]}, and the stores keep it for testing: they are of another split.",
                where=f"{self.kind}.split, {self.kind}.test_share, {where}",
                fix=f"collect all contexts, which serves every split: hyprepro collect {self.label}",
            )
        return super().data((*withheld, *(task for task in self.tested if task in trained)))

    @abstractmethod
    def context(self, task: str) -> tuple[float, float]:
        """A task's target speed and half length of the torso."""

    def simulator(self, task: str, slots: int) -> ControlCheetahs:
        """Cheetahs of the task's context (`UserError` without dm_control)."""
        return self.simulators([task] * slots)

    def simulators(self, tasks: Sequence[str]) -> ControlCheetahs:
        from hyprepro.domains.dm_control.env import ControlCheetahs  # lazily: it loads dm_control

        speeds, lengths = zip(*map(self.context, tasks), strict=True)
        return ControlCheetahs(speeds, lengths)


@component
class CheetahSpeed(ControlCheetah):
    """How fast: 40 target speeds of -10 to 10 m/s, of which 8 are trained on; below 0 it is to run backwards."""

    label: ClassVar[str] = "dm-cheetah-speed"
    title: ClassVar[str] = "Cheetah speed (DeepMind Control)"
    told: ClassVar[str] = "speed"
    many: ClassVar[str] = "speeds"
    unit: ClassVar[str] = "m/s"
    ranges: ClassVar[tuple[tuple[float, float], ...]] = ((SPEEDS[0], SPEEDS[-1]),)
    relabels: ClassVar[bool] = True
    contexts: ClassVar[tuple[tuple[float, ...], ...]] = tuple((speed,) for speed in SPEEDS)

    policies: str = setting("stores/dm-cheetah-speed.policies.h5", "path of the policy store")
    trajectories: str = setting("stores/dm-cheetah-speed.trajectories.h5", "path of the trajectory store")

    def context(self, task: str) -> tuple[float, float]:
        (speed,) = self.parameter(task)
        return speed, 0.5

    def checked_parameter(self, parameter: tuple[float, ...]) -> tuple[float, ...]:
        """As for any domain; standing still is no target (`UserError`)."""
        if parameter == (0.0,):
            raise UserError("A target speed of 0 m/s has no direction to run in.", fix="choose one below or above 0")
        return super().checked_parameter(parameter)

    def rewards(self, signals: Any, actions: Any, parameters: Any) -> Any:
        return run_reward(signals, parameters[..., 0])


@component
class CheetahLength(ControlCheetah):
    """How long: 41 half lengths of the torso of 0.3 to 0.7 m, at a target of 1 m/s, of which 9 are trained on."""

    label: ClassVar[str] = "dm-cheetah-length"
    title: ClassVar[str] = "Cheetah length (DeepMind Control)"
    told: ClassVar[str] = "length"
    many: ClassVar[str] = "lengths"
    unit: ClassVar[str] = "m"
    ranges: ClassVar[tuple[tuple[float, float], ...]] = ((LENGTHS[0], LENGTHS[-1]),)
    contexts: ClassVar[tuple[tuple[float, ...], ...]] = tuple((length,) for length in LENGTHS)

    policies: str = setting("stores/dm-cheetah-length.policies.h5", "path of the policy store")
    trajectories: str = setting("stores/dm-cheetah-length.trajectories.h5", "path of the trajectory store")

    def context(self, task: str) -> tuple[float, float]:
        return USUAL_SPEED, self.parameter(task)[0]


@component
class CheetahSpeedLength(ControlCheetah):
    """Both: target speeds of 1 to 5 m/s with half lengths of 0.3 to 0.7 m, 45 contexts, of which 9 are trained on."""

    label: ClassVar[str] = "dm-cheetah-speed-length"
    title: ClassVar[str] = "Cheetah speed and length (DeepMind Control)"
    told: ClassVar[str] = "context"
    many: ClassVar[str] = "contexts"
    names: ClassVar[tuple[str, ...]] = ("speed", "length")
    ranges: ClassVar[tuple[tuple[float, float], ...]] = ((1.0, 5.0), (0.3, 0.7))
    contexts: ClassVar[tuple[tuple[float, ...], ...]] = PAIRS

    policies: str = setting("stores/dm-cheetah-speed-length.policies.h5", "path of the policy store")
    trajectories: str = setting("stores/dm-cheetah-speed-length.trajectories.h5", "path of the trajectory store")

    def context(self, task: str) -> tuple[float, float]:
        speed, length = self.parameter(task)
        return speed, length
