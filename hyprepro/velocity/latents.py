"""Between stages 1 and 2 of Cheetah-Vel: every training policy's velocity and latent.

Paper says: the condition is the target velocity, one scalar, and nothing about its scale. We chose: the velocity
centred on the middle of the range 0 to 3 m/s and divided by the deviation of a uniform draw from it, the same numbers
for every training set.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.artifacts import Report
from hyprepro.envs.velocities import LARGEST_VELOCITY, task_velocity
from hyprepro.stages.latents import EncodedConditions, PromptLatents, write_latents

if TYPE_CHECKING:
    import torch
    from torch import Tensor

CENTER = LARGEST_VELOCITY / 2
DEVIATION = LARGEST_VELOCITY / 12**0.5


def condition(velocities: Tensor) -> tuple[Tensor, Tensor]:
    """H `[n, 1]` and the empty v `[n, 0]` of velocities `[n]` in m/s."""
    return ((velocities - CENTER) / DEVIATION)[:, None], velocities.new_empty((len(velocities), 0))


@dataclass(frozen=True)
class EncodeVelocities(EncodedConditions):
    """Encodes the training policies of the velocities that its autoencoder was trained on.

    Attributes:
        autoencoder: The trained E and D; its policy store shows the training velocities alone.
        checkpoints: The last so many policies of each velocity; 0: all of them.
        between: For each two neighbouring velocities, mixtures of their latents at so many velocities between them.
        share: Share of the policies that is held out for the generators' validation metrics.
    """

    kind: ClassVar[str] = "velocity-latents"
    version: ClassVar[int] = 1

    checkpoints: int = 0
    between: int = 0
    share: float = 0.05

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write velocities and latents of both splits."""
        import torch

        from hyprepro.stages.data import held_out_rows, training_tasks
        from hyprepro.stores.policy_store import PolicyStore

        encoder = self.autoencoder.load(inputs["autoencoder"])
        latents, velocities, tasks = [], [], []
        with PolicyStore.of(self.autoencoder.policies) as store, torch.no_grad():
            for number, task in enumerate(training_tasks(store)):
                rows = store.rows(task, "train")
                rows = rows[store.meta(task)["step"][rows].argsort(kind="stable")][-self.checkpoints :]
                latents.append(encoder.encode(torch.from_numpy(store.read(task, rows))))
                velocities += [task_velocity(task)] * len(rows)
                tasks += [number] * len(rows)
        h, v = condition(torch.tensor(velocities))
        everything = PromptLatents(h, v, torch.arange(len(h)), torch.cat(latents), torch.tensor(tasks))
        train, validation = (_part(everything, rows) for rows in held_out_rows(len(h), self.share))
        write_latents(work, _with_mixtures(train, self.between), validation)


def _part(latents: PromptLatents, rows: torch.Tensor) -> PromptLatents:
    import torch

    h, v, z = latents.batch(rows)
    return PromptLatents(h, v, torch.arange(len(rows)), z, latents.task[rows])


def _with_mixtures(known: PromptLatents, between: int) -> PromptLatents:
    """With mixtures of each two neighbouring velocities: latents of equal age, in proportion to the place between."""
    import torch

    conditions, latents, tasks = [known.h], [known.latents], [known.task]
    groups = [torch.nonzero(known.task == task)[:, 0] for task in known.task.unique()]  # type: ignore[no-untyped-call]
    for slower, faster in pairwise(groups):
        count = min(len(slower), len(faster))
        one, other = slower[-count:], faster[-count:]
        for share in torch.linspace(0, 1, between + 2)[1:-1].tolist():
            conditions.append(torch.lerp(known.h[one], known.h[other], share))
            latents.append(torch.lerp(known.latents[one], known.latents[other], share))
            tasks.append(known.task[one])
    h = torch.cat(conditions)
    return PromptLatents(h, h.new_empty((len(h), 0)), torch.arange(len(h)), torch.cat(latents), torch.cat(tasks))
