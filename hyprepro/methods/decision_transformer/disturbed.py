"""Episodes of the stored training policies under disturbed actions, for methods that learn from episodes alone.

The stored episodes are of deterministic policies and all succeed, so they say nothing of the states beside their paths.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hyprepro.domains.metaworld.tasks import COLLECTION, fresh_goal
from hyprepro.engine.stage import Report, Stage, StoreFile
from hyprepro.stores.policy_store import PolicyStore
from hyprepro.stores.prompts import STEPS, SUCCESS_STATES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hyprepro.domains.metaworld.env import MetaWorldEnv
    from hyprepro.policies.layout import PolicyLayout

FILE = "episodes.npz"
FIELDS = ("observations", "actions", "own_actions", "rewards", "length")


@dataclass(frozen=True)
class DisturbedEpisodes(Stage):
    """Runs each training policy of each training task on goals of the collection's range.

    An episode ends like a stored one, when it holds 60 steps, a success and two more steps, or after `longest` steps.

    Attributes:
        episodes: Episodes of each policy.
        deviation: Of the normal noise on an action before it is cut to [-1, 1].
        longest: Steps of an episode that does not succeed.
        policies: The policy store.
    """

    kind: ClassVar[str] = "disturbed-episodes"
    version: ClassVar[int] = 1

    episodes: int
    deviation: float
    longest: int
    policies: StoreFile

    @property
    def cost(self) -> float:
        """Seconds: six hundred policies, 90 steps an episode."""
        return 30.0 * self.episodes

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write episodes.npz; each finished task is a checkpoint."""
        from hyprepro.domains.metaworld.env import MetaWorldEnv

        found: dict[str, NDArray[np.generic]] = {}
        with PolicyStore.of(self.policies) as store:
            tasks = store.training_tasks()
            for number, task in enumerate(tasks):
                kept = work / f"checkpoint-{task}.npz"
                if not kept.exists():
                    params = store.read(task, store.rows(task, "train"))
                    partial = kept.with_suffix(".partial.npz")
                    np.savez(partial, **self._recorded(MetaWorldEnv(task), store.layout, params))  # type: ignore[arg-type]
                    partial.replace(kept)
                with np.load(kept) as file:
                    found |= {f"{task}/{name}": file[name] for name in FIELDS}
                report.progress(number + 1, len(tasks))
        np.savez(work / FILE, **found)  # type: ignore[arg-type]

    def load(self, path: Path) -> dict[str, dict[str, NDArray[np.float32]]]:
        """By task the steps of all episodes end to end and each episode's `length` `[E]`.

        Observations `[N, 39]`, actions as executed and as the policy meant them `[N, 4]`, rewards `[N]`.
        """
        with np.load(path / FILE) as file:
            tasks = dict.fromkeys(name.split("/")[0] for name in file.files)
            return {task: {name: file[f"{task}/{name}"] for name in FIELDS} for task in tasks}

    def _recorded(
        self, env: MetaWorldEnv, layout: PolicyLayout, params: NDArray[np.float32]
    ) -> dict[str, NDArray[np.generic]]:
        from hyprepro.policies.controllers import PolicyControllers

        session = PolicyControllers(layout, params).session(1)
        rng = np.random.default_rng(int.from_bytes(hashlib.sha256(env.task.encode()).digest()[:7], "big"))
        rows: dict[str, list[object]] = {name: [] for name in FIELDS}
        for number in range(self.episodes * len(params)):
            session.assign(0, number % len(params))
            observation = env.reset(fresh_goal(COLLECTION, 1, env.task, number))
            end, step = self.longest, 0
            while step < end:
                state = observation.astype(np.float32)
                own = session.act(state[None])[0].copy()
                action = np.clip(own + self.deviation * rng.standard_normal(len(own)), -1, 1).astype(np.float32)
                observation, reward, success = env.step(action)
                for name, value in zip(FIELDS, (state, action, own, reward), strict=False):
                    rows[name].append(value)
                step += 1
                if success and end == self.longest:
                    end = min(end, max(STEPS, step + SUCCESS_STATES - 1))
            rows["length"].append(step)
        types = {"length": np.int64}
        return {name: np.array(values, dtype=types.get(name, np.float32)) for name, values in rows.items()}
