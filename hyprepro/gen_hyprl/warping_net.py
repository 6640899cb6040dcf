"""How demonstrations are completed and warped, and how policies are fitted to them; choices in `warping`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hyprepro.errors import UserError
from hyprepro.gen_hyprl.adaptation_net import Pairs, fitted_to, prompt_pairs, starting
from hyprepro.gen_hyprl.candidates_net import random_weights
from hyprepro.gen_hyprl.judges_net import are_told

if TYPE_CHECKING:
    from hyprepro.domains.scenes import Scene
    from hyprepro.gen_hyprl.adaptation import Start
    from hyprepro.gen_hyprl.inverse_net import InverseNetwork
    from hyprepro.gen_hyprl.warping import WarpedAdaptation
    from hyprepro.stores.prompts import Prompts

MOST, FEWEST = 60, 5
"""Steps that are filled in, at most and, where any are, at least."""
FIRST = 10
"""The end is looked for from this step on: before it the hand has hardly left its first place."""
LATELY = (10, 20)
"""Steps before the last one that tell how fast the hand is, and by how much the inverse model errs on this prompt."""
BEGUN = 5
"""Steps over which the velocity is taken that the curve begins with."""
TOUCHED, USED = 0.004, 0.01
"""An object was touched when it has moved so far, and the task is about it if it moves so far at all (m)."""
CLOSE = 0.03
"""The hand is at work where it is nearer than this to being as close to its object as it ever comes (m)."""
SLOWEST = 0.002
"""No hand is taken to be slower (m a step)."""


@dataclass(frozen=True)
class Demonstration:
    """The demonstrations of `n` prompts, completed: what is needed to draw pairs of warped ones.

    Attributes:
        scene: Says what is where.
        inverse: Says what action moves the hand.
        ahead: Steps that the inverse model looks ahead.
        frames: `[n, M, frame]`; the last ones repeat.
        goals: What of an observation is not a frame `[n, 1, rest]`.
        actions: `[n, M - ahead, act]`.
        said: What the inverse model says in their place `[n, M - ahead, act]`.
        lengths: How many steps of each are drawn from `[n]`.
        approach: At each step the share of the hand's way to where it first moves an object `[n, M]`.
        delivery: The share of the way from there to the end; where no object is moved, of the whole way `[n, M]`.
        touches: Whether an object is moved at all `[n]`.
        used: Which of the objects are moved `[n, objects]`.
    """

    scene: Scene
    inverse: InverseNetwork
    ahead: int
    frames: Tensor
    goals: Tensor
    actions: Tensor
    said: Tensor
    lengths: Tensor
    approach: Tensor
    delivery: Tensor
    touches: Tensor
    used: Tensor

    def frame(self, steps: Tensor) -> Tensor:
        """Frames `[n, b, frame]` at steps `[n, b]`."""
        return _rows(self.frames, steps)

    def observations(self, steps: Tensor) -> Tensor:
        """Observations `[n, b, obs]` at steps `[n, b]`."""
        goals = self.goals.expand(-1, steps.shape[1], -1)
        return torch.cat([self.frame(steps), self.frame((steps - 1).clamp_min(0)), goals], dim=2)

    def warped(self, settings: WarpedAdaptation, draws: torch.Generator) -> Pairs:
        """Pairs of warped demonstrations, as many a prompt as the settings say."""
        shape = (len(self.frames), settings.pairs)
        steps = (torch.rand(shape, generator=draws) * self.lengths[:, None]).long()
        seen, there = self.observations(steps), self.frame(steps + self.ahead)
        observed, there = self._moved(settings, steps, seen, there, draws)
        change = self.inverse.leading(self.scene, observed, there) - _rows(self.said, steps)
        change[..., 3:] = 0
        actions = (_rows(self.actions, steps) + change).clamp(-1.0, 1.0)
        by = settings.shift * (2 * torch.rand((*shape, 3), generator=draws) - 1)
        return Pairs(self.scene.shifted(observed, by), actions)

    def _moved(
        self, settings: WarpedAdaptation, steps: Tensor, seen: Tensor, there: Tensor, draws: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The observations and the frames to come to, with hand, objects and goal elsewhere."""
        goal_by, object_by, scattered = _displacements(settings, tuple(steps.shape), draws)
        beside = settings.beside * torch.randn((*steps.shape, 3), generator=draws)
        size, scene = self.scene.frame_size, self.scene
        observed, there = seen.clone(), there.clone()
        there[..., :3] += self._hand(steps + self.ahead, object_by, goal_by)
        for first, at in ((0, steps), (size, (steps - 1).clamp_min(0))):
            observed[..., first : first + 3] += self._hand(at, object_by, goal_by) + beside
            carried = torch.lerp(object_by, goal_by, self._share(self.delivery, at) * self._touching)
            for number, place in enumerate(scene.objects):
                by = torch.where(self.used[:, None, None, number], carried, scattered)
                _add_where_there(observed, first + place, by)
        _add_where_there(observed, scene.goal, goal_by)
        return observed, there

    def _hand(self, steps: Tensor, object_by: Tensor, goal_by: Tensor) -> Tensor:
        """How far the hand is moved `[n, b, 3]`."""
        delivery = self._share(self.delivery, steps)
        touching = torch.lerp(self._share(self.approach, steps) * object_by, goal_by, delivery)
        return torch.where(self.touches[:, None, None], touching, delivery * goal_by)

    @property
    def _touching(self) -> Tensor:
        return self.touches[:, None, None].float()

    @staticmethod
    def _share(of: Tensor, steps: Tensor) -> Tensor:
        shares: Tensor = torch.gather(of, 1, steps)
        return shares[..., None]


def fitted_to_warped(settings: WarpedAdaptation, start: Start, prompts: Prompts, draws: torch.Generator) -> Tensor:
    """Policies `[n, P]`, each fitted to warped demonstrations of its own prompt."""
    scene, inverse = _known(start)
    demonstration = completed(settings, scene, inverse, prompts, start)

    def changing(_observations: Tensor, _actions: Tensor) -> tuple[Tensor, Tensor]:
        return demonstration.warped(settings, draws)

    begun = (
        random_weights(start.layout, len(start.params), draws)
        if settings.start == "random"
        else starting(settings.start, start, prompts, "WarpedAdaptation.start")
    )
    return fitted_to(settings.fit, start.layout, begun, demonstration.warped(settings, draws), draws, changing)


def completed(
    settings: WarpedAdaptation, scene: Scene, inverse: InverseNetwork, prompts: Prompts, start: Start
) -> Demonstration:
    """The prompts' demonstrations, with the way to their shown ends; a note says where no end is shown."""
    pairs = prompt_pairs(prompts)
    ends = torch.from_numpy(prompts.tau_hat).reshape(len(prompts), -1, pairs.observations.shape[2])
    known = are_told(ends)
    if settings.completed and not bool(known.all()):
        start.notes.append(
            f"WarpedAdaptation did not complete {prompts.task}: a prompt's post-success states are missing"
        )
    size, ahead = scene.frame_size, settings.inverse.ahead
    shown, end = pairs.observations[:, :, :size], ends[:, 0, :size]
    steps = shown.shape[1]
    way = _way(scene, shown, end, known & settings.completed, settings.within)
    time = torch.arange(steps + MOST + ahead + 1)
    frames = torch.where(
        way.kept(time)[..., None],
        torch.cat([shown, shown[:, -1:].expand(-1, len(time) - steps, -1)], dim=1),
        _curve(shown, end, way, time),
    )
    goals = pairs.observations[:, :1, 2 * size :]
    approach, delivery, touches, used = _shares(scene, frames, way.last + way.added)
    lengths, actions = way.last + 1 + way.added, pairs.actions
    demonstration = Demonstration(
        scene, inverse, ahead, frames, goals, actions, actions, lengths, approach, delivery, touches, used
    )
    return _acted(demonstration, way)


@dataclass(frozen=True)
class _Way:
    """Of each prompt the last step that is kept `[n]`, and how many are filled in after it `[n]`; 0: none."""

    last: Tensor
    added: Tensor

    def kept(self, time: Tensor) -> Tensor:
        """Whether a step `[M]` is the prompt's own `[n, M]`."""
        return (time[None] <= self.last[:, None]) | (self.added[:, None] == 0)


def _way(scene: Scene, shown: Tensor, end: Tensor, known: Tensor, within: float) -> _Way:
    """From the step nearest to the end on it is filled in, as fast as the hand was."""
    n, steps = shown.shape[:2]
    rows = torch.arange(n)
    apart = _places(scene, shown) - _places(scene, end)[:, None]
    widest, total = apart.abs().amax(dim=(2, 3)), apart.norm(dim=3).sum(dim=2)
    is_shown = widest.amin(dim=1) <= within
    at_work = torch.where(_at_work(scene, shown, end), total, torch.inf)
    nearest = torch.where(is_shown, widest.argmin(dim=1), at_work.argmin(dim=1)).clamp_min(FIRST)
    last = torch.where(known, nearest, steps - 1)
    moved = (shown[:, 1:, :3] - shown[:, :-1, :3]).norm(dim=2)
    lately = torch.stack([moved[rows, last - 1 - i] for i in range(min(LATELY[0], FIRST))], dim=1).mean(dim=1)
    speed = torch.maximum(moved.mean(dim=1), lately).clamp_min(SLOWEST)
    added = (apart[rows, last].norm(dim=2).amax(dim=1) / speed).clamp(FEWEST, MOST).round().long()
    return _Way(last, torch.where(known & ~is_shown, added, 0))


def _at_work(scene: Scene, shown: Tensor, end: Tensor) -> Tensor:
    """At which steps the hand is about as close to what it moves as it ever comes `[n, T]`; all where it moves nothing.

    A hand that reaches far for an object may be nearer to its end before it has it.
    """
    places = _places(scene, shown)
    used = (_places(scene, end) - places[:, 0])[:, 1:].norm(dim=2) > USED
    reach = (places[:, :, 1:] - places[:, :, :1]).norm(dim=3)
    reach = torch.where(used[:, None], reach, torch.inf).amin(dim=2)
    is_close: Tensor = reach <= reach.amin(dim=1, keepdim=True) + CLOSE
    uses_none: Tensor = ~used.any(dim=1)
    return is_close | uses_none[:, None]


def _curve(shown: Tensor, end: Tensor, way: _Way, time: Tensor) -> Tensor:
    """Frames `[n, M, frame]` on parabolas that leave the last kept frame as it was moving and come to the end."""
    rows = torch.arange(len(shown))
    last = shown[rows, way.last]
    velocity = (last - shown[rows, way.last - BEGUN]) / BEGUN
    velocity[:, 3] = 0  # a gripper that closes stops where its fingers meet
    control = (last + velocity * way.added[:, None] / 2)[:, None]
    share = ((time[None] - way.last[:, None]) / way.added.clamp_min(1)[:, None]).clamp(0, 1)[..., None]
    frames: Tensor = (1 - share) ** 2 * last[:, None] + 2 * share * (1 - share) * control + share**2 * end[:, None]
    return frames


def _shares(scene: Scene, frames: Tensor, last: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Shares of the way before and after the first touch, whether there is one, and of which objects."""
    n = len(frames)
    moved = torch.stack(
        [(frames[..., place : place + 3] - frames[:, :1, place : place + 3]).norm(dim=2) for place in scene.objects],
        dim=2,
    )
    touched = moved.amax(dim=2) > TOUCHED
    touches = touched.any(dim=1)
    contact = torch.where(touches, touched.float().argmax(dim=1), last)
    steps = (frames[:, 1:, :3] - frames[:, :-1, :3]).norm(dim=2)
    gone = torch.cat([torch.zeros(n, 1), steps.cumsum(dim=1)], dim=1)
    to_contact, to_end = gone.gather(1, contact[:, None]), gone.gather(1, last[:, None])
    approach = (gone / to_contact.clamp_min(1e-4)).clamp(max=1)
    after = ((gone - to_contact) / (to_end - to_contact).clamp_min(1e-4)).clamp(0, 1)
    return approach, torch.where(touches[:, None], after, approach), touches, moved.amax(dim=1) > USED


def _acted(demonstration: Demonstration, way: _Way) -> Demonstration:
    """With the actions of what was filled in: the inverse model's, corrected by its late errors on this prompt."""
    ahead, actions = demonstration.ahead, demonstration.actions
    time = torch.arange(demonstration.frames.shape[1] - ahead)
    seen = demonstration.observations(time[None].expand(len(actions), -1))
    said = demonstration.inverse.leading(demonstration.scene, seen, demonstration.frames[:, ahead:])
    own = torch.cat([actions, actions[:, -1:].expand(-1, len(time) - actions.shape[1], -1)], dim=1)
    last = way.last[:, None]
    late = ((time[None] <= last - ahead) & (time[None] > last - ahead - LATELY[1]))[..., None].float()
    error = ((own - said) * late).sum(dim=1, keepdim=True) / late.sum(dim=1, keepdim=True).clamp_min(1)
    filled = (said + error).clamp(-1.0, 1.0)
    filled[..., 3:] = _rows(actions, last)[..., 3:]
    return replace(demonstration, actions=torch.where(way.kept(time)[..., None], own, filled), said=said)


def _displacements(
    settings: WarpedAdaptation, shape: tuple[int, ...], draws: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """How far goals, objects in use and all other objects are moved `[n, b, 3]`."""

    def anywhere() -> Tensor:
        return settings.moved * (2 * torch.rand((*shape, 3), generator=draws) - 1)

    def some(share: float) -> Tensor:
        return torch.rand((*shape, 1), generator=draws) < share

    moving = some(1 - settings.still)
    objects = anywhere() * moving
    goals = torch.where(some(settings.apart), anywhere() * moving, objects)
    return goals, objects, anywhere() * some(0.5)


def _places(scene: Scene, frames: Tensor) -> Tensor:
    """Where hand and objects are `[..., k, 3]`."""
    return torch.stack([frames[..., first : first + 3] for first in (0, *scene.objects)], dim=-2)


def _add_where_there(observations: Tensor, first: int, by: Tensor) -> None:
    """Move what stands at three columns, where the task has it."""
    place = observations[..., first : first + 3]
    place += by * (place != 0).any(dim=-1, keepdim=True)


def _rows(of: Tensor, steps: Tensor) -> Tensor:
    """Rows `[n, b, k]` of `[n, M, k]` at steps `[n, b]`."""
    return torch.gather(of, 1, steps[..., None].expand(-1, -1, of.shape[2]))


def _known(start: Start) -> tuple[Scene, InverseNetwork]:
    if start.domain is None or start.learnt is None:
        raise UserError(
            "WarpedAdaptation has no inverse model of the hand: it was not trained with the method.",
            where="adaptation = @WarpedAdaptation()",
            fix="deploy what was trained with it, or use @PromptAdaptation(), which needs none",
        )
    return start.domain.scene(), start.learnt
