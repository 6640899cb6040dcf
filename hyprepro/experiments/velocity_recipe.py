"""The recipe of Table 4: methods x training sets x target velocities, on the stores of Cheetah-Vel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hyprepro.component import component, setting
from hyprepro.domains.base import Data
from hyprepro.domains.cheetah_vel.domain import CheetahData
from hyprepro.domains.cheetah_vel.tasks import (
    TEST_INDICES,
    check_velocity,
    training_subset,
    velocity_grid,
    velocity_task,
)
from hyprepro.errors import UserError, closest_match
from hyprepro.experiments.recipe import Experiment, check_unique
from hyprepro.experiments.results import Outcome
from hyprepro.experiments.velocity_rollouts import VelocityRollouts, start_seeds
from hyprepro.methods.base import Method
from hyprepro.reports.report import Report
from hyprepro.reports.returns import summarise_returns
from hyprepro.reports.table4 import VelocityTable
from hyprepro.reports.velocity_records import write_records

if TYPE_CHECKING:
    from hyprepro.engine.cache import ArtifactCache
    from hyprepro.engine.stage import Stage

_KIND = "VelocityRecipe"


@component
class VelocityRecipe(Experiment):
    """Returns at velocities that nothing was trained on, by method and number of training velocities.

    Paper says: 35 training velocities, and 10, 20 and 25 random ones of them; the test set stays. We chose: evenly
    spread ones instead of random ones (`hyprepro.domains.cheetah_vel.tasks.training_subset`); `training` gives any
    others.
    """

    data: CheetahData = setting(CheetahData(), "The stores.")
    methods: tuple[Method, ...] = setting(..., "The rows of the table.", min_length=1)
    report: Report = setting(VelocityTable(), "What is written from the numbers: a kind of table or figure.")
    first: float = setting(0.075, "Slowest velocity of the grid of 40, m/s (the paper's figure: 0).", source="MACAW")
    last: float = setting(3.0, "Fastest velocity of the grid of 40, m/s.", source="MACAW")
    train: tuple[int, ...] = setting((35,), "Numbers of training velocities, one table each.", source="paper, Table 4")
    training: tuple[float, ...] = setting((), "The training velocities themselves, m/s, in place of `train`.")
    withheld: tuple[float, ...] = setting(
        (), "Training velocities that nothing is trained on and that are tested instead: to choose settings by, m/s."
    )
    sweep: bool = setting(False, "Evaluate at the other velocities of the grid as well, for the figure.")
    starts: int = setting(10, "Starts of each policy at each velocity, the same for all.", ge=1, le=1000)
    base_seed: int = setting(0, "Another one gives other starts.", ge=0)
    reference: str = setting("gen-hyprl", "The row that all others are compared with.")

    @property
    def grid(self) -> tuple[float, ...]:
        """All 40 velocities."""
        return velocity_grid(check_velocity(self.first), check_velocity(self.last))

    @property
    def tested(self) -> tuple[float, ...]:
        """The velocities that the table is about: the test velocities, or the withheld ones."""
        return tuple(sorted(self.withheld)) or tuple(self.grid[index] for index in TEST_INDICES)

    def targets(self, files: Data) -> tuple[VelocityRollouts, ...]:
        """The evaluations in the order of the table.

        Raises:
            UserError: A velocity that is not of the grid, a training set with a tested velocity, a store without a
                velocity's policies, a method or a number that stands twice.
        """
        check_unique(f"{_KIND}.methods", [method.name for method in self.methods])
        sets = self._training_sets()
        self._check_stores(files, sets)
        for method in self.methods:
            method.require(files)
        known = {velocities: files.trained_on({velocity_task(each) for each in velocities}) for velocities in sets}
        return tuple(stage for method in self.methods for stage in self._rollouts(files, method, known))

    def outcome(self, targets: Sequence[Stage], cache: ArtifactCache) -> Outcome:
        """All episodes and what is computed from them."""
        from hyprepro.experiments.recipe import training_seconds

        found = [record for stage in targets for record in stage.load(cache.path_of(stage))]
        records = [record._replace(variant=self.variant) for record in found]
        summary = summarise_returns(records, recipe=self.name, reference=self.reference)
        rollouts = [stage for stage in targets if isinstance(stage, VelocityRollouts)]
        methods: dict[str, dict[str, Any]] = {}
        for method in self.methods:
            sizes = dict.fromkeys(each.n_train for each in rollouts if each.method.name == method.name)
            seconds = {
                str(size or "any"): training_seconds(method.name, [e for e in rollouts if e.n_train == size], cache)
                for size in sizes
            }
            known = method.information(self.data.domain)
            methods[method.name] = {"knows": known, "training_seconds_by_n_train": seconds}
        return Outcome(records, write_records, summary.rows, summary.comparisons, methods)

    def _training_sets(self) -> tuple[tuple[float, ...], ...]:
        """The training velocities of each table, ascending."""
        grid, tested = self.grid, self.tested
        for field in ("training", "withheld"):
            for velocity in getattr(self, field):
                _check_in_grid(velocity, grid, f"{_KIND}.{field}")
        if self.withheld and set(tested) & {grid[index] for index in TEST_INDICES}:
            raise UserError(
                "A test velocity cannot be withheld: it is never trained on.",
                where=f"{_KIND}.withheld",
                fix="leave it out of this list; the test velocities are tested where nothing is withheld",
            )
        if self.training:
            return (_checked(tuple(sorted(self.training)), grid, tested),)
        if len(set(self.train)) < len(self.train) or not self.train:
            raise UserError(
                "train must be numbers of training velocities, each once.",
                where=f"{_KIND}.train",
                fix=f"-b {_KIND}.train=(35,), for instance",
            )
        sets = [tuple(grid[index] for index in training_subset(count)) for count in self.train]
        return tuple(_checked(tuple(v for v in each if v not in self.withheld), grid, tested) for each in sets)

    def _check_stores(self, files: Data, sets: Sequence[tuple[float, ...]]) -> None:
        """Every training velocity must have training policies; every tested one must be in the store."""
        with files.open_policies() as store:
            for velocity in dict.fromkeys((*self.tested, *(v for each in sets for v in each))):
                task, is_tested = velocity_task(velocity), velocity in self.tested
                has = task in store.tasks and (is_tested or store.count(task, "train"))
                if not has:
                    kind = "policies" if is_tested else "training policies"
                    raise UserError(
                        f"The policy store has no {kind} of {velocity:g} m/s.",
                        where=f"{store.where}, {task}",
                        closest=closest_match(task, store.tasks),
                        fix=f"hyprepro store info {store.where}; another grid: {_KIND}.first and .last",
                    )

    def _rollouts(
        self, files: Data, method: Method, sets: Mapping[tuple[float, ...], Data]
    ) -> Iterator[VelocityRollouts]:
        for velocities, known in sets.items() if method.learns else [(self.grid, files)]:
            for seed in range(self.seeds if method.seeded else 1):
                for target in self.grid if self.sweep else self.tested:
                    split = self._split_of(target, velocities)
                    starts = start_seeds(
                        "validation" if split == "validation" else "test", self.base_seed, target, self.starts
                    )
                    yield VelocityRollouts.of(
                        method, known, velocities, target=target, split=split, starts=starts, seed=seed
                    )

    def _split_of(self, target: float, velocities: tuple[float, ...]) -> str:
        if target in self.tested:
            return "validation" if self.withheld else "test"
        return "seen" if target in velocities else "unseen"


def _check_in_grid(velocity: float, grid: tuple[float, ...], where: str) -> None:
    try:
        check_velocity(velocity)
    except UserError as error:
        raise UserError(error.what, where=where, fix=error.fix) from None
    if velocity not in grid:
        nearest = min(grid, key=lambda each: abs(each - velocity))
        raise UserError(
            f"{velocity:g} m/s is none of the 40 velocities from {grid[0]:g} to {grid[-1]:g} m/s.",
            where=where,
            closest=f"{nearest:g}",
            fix=f"name velocities of the grid; another grid: {_KIND}.first and .last",
        )


def _checked(velocities: tuple[float, ...], grid: tuple[float, ...], tested: tuple[float, ...]) -> tuple[float, ...]:
    """A training set, of at least two different velocities and none of the tested ones."""
    both = [velocity for velocity in velocities if velocity in tested or velocity in _test_velocities(grid)]
    if both:
        raise UserError(
            f"The training set contains the test velocity {both[0]:g} m/s.",
            where=f"{_KIND}.training",
            fix="leave it out: what is tested must not be trained on",
        )
    if len(set(velocities)) < max(2, len(velocities)):
        raise UserError(
            "A training set needs at least two velocities, each once.",
            where=f"{_KIND}.training",
            fix=f"-b '{_KIND}.training=(0.75, 1.5, 2.25)', for instance",
        )
    return velocities


def _test_velocities(grid: tuple[float, ...]) -> set[float]:
    return {grid[index] for index in TEST_INDICES}
