"""Films of rollouts: what the rows of a recipe yield, one episode each, taped as evaluated and drawn in a grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from hyprepro.domains.base import Domain, Query
from hyprepro.domains.camera import Painter
from hyprepro.domains.episodes import Episode, Outcome
from hyprepro.domains.rendering import Tape, taped
from hyprepro.errors import UserError
from hyprepro.experiments.recipe import Recipe
from hyprepro.methods.base import Method
from hyprepro.methods.ceilings import Expert
from hyprepro.methods.retrieval import AgreementRetrieval, Retrieval
from hyprepro.reports.film.panels import Panel, Picture, compose

if TYPE_CHECKING:
    from hyprepro.experiments.rollouts import Rollouts
    from hyprepro.policies.controllers import Controllers

LARGEST_GRID = 64
"""Episodes of one film."""

HELD_SECONDS = 1.0
"""How long a film stays on its last frame."""

FRAME_SECONDS = 0.05
"""About how long a frame of a film is shown, where nobody says how many steps it skips."""


def cast(recipe: Recipe, named: Sequence[str], alone: bool) -> list[Method]:
    """The rows that a film shows: the expert, the nearest stored policy, and those that are named.

    The nearest is the first row that retrieves a policy without any training.

    Args:
        recipe: The recipe.
        named: Names of rows.
        alone: Only these.

    Raises:
        UserError: None is left.
    """
    rows = {method.name: method for method in recipe.methods}
    chosen = [rows[name] for name in dict.fromkeys(named)]
    beside = [] if alone else [_first(recipe, Expert), _first(recipe, Retrieval, AgreementRetrieval)]
    if any(isinstance(method, Retrieval | AgreementRetrieval) for method in chosen):
        beside = beside[:1]
    found = [method for method in beside if method is not None and method not in chosen] + chosen
    if not found:
        raise UserError(
            "There is nobody to film: no row is named, and the recipe has neither expert nor stored policies.",
            where="--method",
            fix=f"Name one with --method: {', '.join(rows)}",
        )
    return found


def _first(recipe: Recipe, *kinds: type[Method]) -> Method | None:
    rows = [method for method in recipe.methods if isinstance(method, kinds)]
    data = recipe.sources()[0].for_training if rows else None
    return next((method for method in rows if data and method.training(data, 0) is None), None)


@dataclass(frozen=True)
class Shot:
    """One episode of a film.

    Attributes:
        title: The row's name.
        task: The task.
        policy: Which of the row's policies.
        subject: The task and what it was told by, in words.
        domain: What the task is of.
        tape: The episode; None where the row has nothing for this task.
        outcome: What came of it.
    """

    title: str
    task: str
    policy: int
    subject: str
    domain: Domain
    tape: Tape | None = None
    outcome: Outcome | None = None

    @property
    def steps(self) -> int:
        """Steps of the episode."""
        return self.tape.steps if self.tape else 0

    def caption(self, step: int) -> tuple[str, ...]:
        """What stands below the picture after a step."""
        return self.subject, self.title, self._state(min(step, self.steps))

    def _state(self, step: int) -> str:
        if self.tape is None or self.outcome is None:
            return "none stored"
        gained = f"return {self.tape.totals[step]:.1f}"
        if not self.domain.metric.ends_episode:
            fell = step == self.steps < self.domain.horizon
            return f"{f'ended at step {step}' if fell else f'step {step}'}, {gained}"
        first = self.outcome.steps
        if not self.outcome.success or first is None or step < first:
            return f"{f'no success in {step} steps' if step == self.steps else f'step {step}'}, {gained}"
        is_lost = step > first and not self.tape.flags[step]
        return f"success at step {first}{', lost' if is_lost else ''}, {gained}"


def shoot(stage: Rollouts, query: Query, controllers: Controllers, policy: int, whole: bool) -> Shot:
    """The first episode that the stage's protocol runs of one of a row's policies, taped.

    Args:
        stage: An evaluation of the row.
        query: What was asked.
        controllers: What the row yields for it.
        policy: Which of them, from 0.
        whole: Go on to the horizon after a success.

    Raises:
        UserError: There is no such policy.
    """
    domain = stage.data.domain
    if not 0 <= policy < controllers.n:
        many = "policy" if controllers.n == 1 else "policies"
        raise UserError(
            f"{stage.method.name} has {controllers.n} {many} for {query.task}.",
            where=f"--policy {policy}",
            closest=str(min(max(policy, 0), controllers.n - 1)),
            fix=f"They count from 0 to {controllers.n - 1}.",
        )
    start = next(each.start for each in stage.trials(query.task, policy + 1) if each.policy == policy)
    tape, outcome = taped(domain, query.task, controllers, Episode(policy, start), whole=whole)
    return Shot(stage.method.name, query.task, policy, subject(domain, query, policy), domain, tape, outcome)


def subject(domain: Domain, query: Query, policy: int) -> str:
    """A task and what it is told by, in words: "reach, prompt 3", "velocity 1.2 m/s"."""
    if domain.condition == "prompt":
        return f"{query.task}, {domain.told} {policy}"
    numbers = ", ".join(f"{number:g}" for number in query.parameter)
    return f"{domain.told} {numbers} {domain.unit}".strip()


class Screen:
    """Draws shots side by side; a context manager.

    Args:
        shots: Row by row.
        columns: Shots in a row.
        width: Of a picture, in pixels; its height is three quarters of that.
        camera: A camera's name; empty: the domain's.

    Raises:
        UserError: Nothing draws here, or no such camera.
    """

    def __init__(self, shots: Sequence[Shot], columns: int, width: int, camera: str = "") -> None:
        self.shots, self._columns = list(shots), columns
        self._width, self._height = width, width * 3 // 4
        self._camera = camera or shots[0].domain.camera
        self._painters: dict[int, Painter] = {}
        self._last: dict[int, tuple[int, Picture]] = {}

    def __enter__(self) -> Screen:
        """Nothing is drawn yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give up what draws."""
        for painter in self._painters.values():
            painter.close()

    @property
    def seconds(self) -> float:
        """Simulated time of a step."""
        return next((shot.tape.seconds for shot in self.shots if shot.tape), FRAME_SECONDS)

    @property
    def steps(self) -> int:
        """Steps of the longest episode."""
        return max(shot.steps for shot in self.shots)

    def schedule(self, every: int) -> list[int]:
        """The steps that a film shows: the start, each so-manieth, the last, which it stays on."""
        shown = [*range(0, self.steps, every), self.steps]
        return shown + [self.steps] * round(HELD_SECONDS / (every * self.seconds))

    def frames(self, every: int) -> Iterator[Picture]:
        """The frames of the film, as `schedule` says."""
        for step in self.schedule(every):
            yield self.frame(step)

    def frame(self, step: int) -> Picture:
        """All shots after a step; those that ended earlier stay as they ended."""
        panels = [Panel(self._picture(shot, step), shot.caption(step)) for shot in self.shots]
        return compose(panels, self._columns, self._width, self._height)

    def still(self, moments: int) -> Picture:
        """All shots as they ended; or each in a row of moments, evenly over its own episode, the last its end."""
        if moments == 1:
            return self.frame(self.steps)
        panels = [
            Panel(self._picture(shot, step), shot.caption(step))
            for shot in self.shots
            for step in (round(shot.steps * number / (moments - 1)) for number in range(moments))
        ]
        return compose(panels, moments, self._width, self._height)

    def _picture(self, shot: Shot, step: int) -> Picture | None:
        if shot.tape is None:
            return None
        step, known = min(step, shot.steps), self._last.get(id(shot))
        if known is None or known[0] != step:
            known = self._last[id(shot)] = step, self._painter(shot.tape).picture(shot.tape, step)
        return known[1]

    def _painter(self, tape: Tape) -> Painter:
        """One a model, since what draws holds its meshes."""
        key = id(tape.model)
        if key not in self._painters:
            self._painters[key] = Painter(tape.model, self._width, self._height, self._camera)
        return self._painters[key]
