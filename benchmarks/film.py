"""How fast an episode is filmed, against bare steps and gymnasium's own pictures of them."""

from __future__ import annotations

import resource
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hyprepro.domains.base import Domain
from hyprepro.domains.camera import check_camera, require_renderer
from hyprepro.domains.episodes import Episode, run_episodes
from hyprepro.domains.rendering import taped, visible
from hyprepro.experiments.film import Screen, Shot, subject
from hyprepro.methods.ceilings import Expert
from hyprepro.policies.controllers import Controllers
from hyprepro.reports.film.files import Reel


def measure_film(domain: Domain, task: str, steps: int, width: int, rounds: int) -> dict[str, Any]:
    """Frames a second of `film` and of bare rendering, an episode of the task's expert a turn, each step a frame.

    Ours is all that the command does once policies are there: the episode, its pictures with captions, an MP4 that is
    written and counted. The peer steps the same simulator and renders after each step with gymnasium's offscreen viewer
    in the same size, and keeps nothing. Seconds are those of processors, ffmpeg's and the renderer's threads included.

    Args:
        domain: What the task is of.
        task: The task.
        steps: Of the episode.
        width: Of a picture, in pixels.
        rounds: Turns of each, after one that does not count.

    Returns:
        `ours` and `peer` in frames a second, `ratio` (ours over the peer's) and `times`, ours in the peer's time.
    """
    renderer, data = require_renderer(), domain.data()
    query = domain.query(data, task, 1, "test")
    controllers = Expert().deploy(None, data, query, 0)
    episode = Episode(0, domain.start("test", 0, task, 0))

    def ours() -> None:
        tape, outcome = taped(domain, task, controllers, episode, whole=True, horizon=steps)
        shot = Shot("expert", task, 0, subject(domain, query, 0), domain, tape, outcome)
        with tempfile.TemporaryDirectory() as folder, Screen([shot], 1, width) as screen:
            height, across, _ = screen.frame(0).shape
            files = [Path(folder) / "film.mp4"]
            with Reel(files, (across, height), tape.seconds, len(screen.schedule(1))) as reel:
                for frame in screen.frames(1):
                    reel.add(frame)

    contestants = {"ours": ours, "peer": lambda: _bare(domain, task, controllers, episode, steps, width)}
    taken = _taken(contestants, rounds)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    return {
        **{name: round((steps + 1) / value, 2) for name, value in medians.items()},
        "ratio": round(medians["peer"] / medians["ours"], 3),
        "times": round(medians["ours"] / medians["peer"], 3),
        "task": task,
        "frames": steps + 1,
        "size": [width, width * 3 // 4],
        "renderer": renderer,
        "rounds": {name: [round(value, 2) for value in values] for name, values in taken.items()},
    }


def _bare(domain: Domain, task: str, controllers: Controllers, episode: Episode, steps: int, width: int) -> None:
    """An episode stepped and rendered, and nothing else."""
    from gymnasium.envs.mujoco.mujoco_rendering import OffScreenViewer

    simulator, (model, state) = visible(domain, task)
    viewer: Any = OffScreenViewer(model, state, width, width * 3 // 4)
    camera = check_camera(model, domain.camera)

    class Shown:
        """The simulator, rendered after each step."""

        slots = 1

        def reset(self, slot: int, start: Any) -> Any:
            first = simulator.reset(slot, start)
            viewer.render("rgb_array", camera_id=camera)
            return first

        def step(self, actions: Any, active: Any) -> Any:
            step = simulator.step(actions, active)
            viewer.render("rgb_array", camera_id=camera)
            return step

    run_episodes(domain, task, controllers, [episode], simulator=lambda slots: Shown(), horizon=steps, whole=True)
    viewer.con.free()
    viewer.free()


def _taken(contestants: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contestant in each round but the first."""
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, work in contestants.items():
            start = _processors()
            work()
            if turn:
                taken[name].append(_processors() - start)
    return taken


def _processors() -> float:
    """Seconds of processors that this process and its finished children have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
