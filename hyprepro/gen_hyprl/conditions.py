"""Between stages 1 and 2: the condition and the latent of every training sample, computed once.

In Meta-World a sample is a prompt: its condition is its behaviour embedding, its latent that of the policy which
recorded it. Make-An-Agent publishes the same thing as `process_data.pt`. HypLatent, HypFormer and the regressor all
train on it.

Between stages 1 and 2 of Cheetah-Vel: every training policy's velocity and latent.

Paper says: the condition is the target velocity, one scalar, and nothing about its scale. We chose: the velocity
centred on the middle of the range 0 to 3 m/s and divided by the deviation of a uniform draw from it, the same numbers
for every training set.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.domains.cheetah_vel.tasks import LARGEST_VELOCITY, task_velocity
from hyprepro.engine.stage import Report, Stage, StoreFile
from hyprepro.gen_hyprl.autoencoder import TrainAutoencoder
from hyprepro.gen_hyprl.embedding import TrainBehaviorEmbedding
from hyprepro.stores.files import StoreFiles

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hyprepro.gen_hyprl.autoencoder_net import PolicyAutoencoder
    from hyprepro.stores.training_data import PromptSet


FILE = "latents.safetensors"
PARTS = ("h", "v", "policy", "latents", "task")
ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class PromptLatents:
    """Prompts as stages 2 and 3 see them.

    Attributes:
        h: `[N, E]`.
        v: `[N, E]`; `[N, 0]` where the condition is h alone.
        policy: Which of `latents` is each prompt's true latent `[N]`.
        latents: Z of every policy that some prompt comes from `[U, 2, D]`.
        task: Task number of each prompt `[N]`.
    """

    h: Tensor
    v: Tensor
    policy: Tensor
    latents: Tensor
    task: Tensor

    def __len__(self) -> int:
        return len(self.h)

    @property
    def sizes(self) -> tuple[int, int]:
        """E and D."""
        return int(self.h.shape[1]), int(self.latents.shape[2])

    def to(self, device: torch.device) -> PromptLatents:
        """The same on a device."""
        return PromptLatents(*(part.to(device) for part in (self.h, self.v, self.policy, self.latents, self.task)))

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """h, v `[k, E]` and true latents `[k, 2, D]` of some prompts."""
        return self.h[rows], self.v[rows], self.latents[self.policy[rows]]


@dataclass(frozen=True)
class EncodedConditions(Stage):
    """What stages 2 and 3 train on, whatever the condition is.

    Attributes:
        autoencoder: The trained E and D.
    """

    autoencoder: TrainAutoencoder

    def load(self, path: Path) -> tuple[PromptLatents, PromptLatents]:
        """Training and validation samples."""
        from safetensors.torch import load_file

        tensors = load_file(path / FILE)
        train, validation = (
            PromptLatents(*(tensors[f"{split}.{name}"] for name in PARTS)) for split in ("train", "validation")
        )
        return train, validation


@dataclass(frozen=True)
class EncodePrompts(EncodedConditions):
    """Encodes training and validation prompts.

    Attributes:
        autoencoder: The trained E and D.
        embedding: The trained phi and psi.
    """

    kind: ClassVar[str] = "latents"
    version: ClassVar[int] = 1

    embedding: TrainBehaviorEmbedding

    @property
    def cost(self) -> float:
        """Seconds on one slow core."""
        return 8.0

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write embeddings and latents of both splits."""
        from hyprepro.stores.training_data import training_prompts

        encoder = self.autoencoder.load(inputs["autoencoder"])
        embedding = self.embedding.load(inputs["embedding"])
        data = StoreFiles(self.embedding.policies, self.embedding.trajectories)
        splits = []
        for prompts in training_prompts(data, self.embedding.embedding.validation_share):
            h, v = embedding.embed(prompts.tau, prompts.tau_hat)
            latents, policy = _latents(encoder, prompts, self.autoencoder.policies)
            splits.append(PromptLatents(h, v, policy, latents, prompts.task))
        write_latents(work, *splits)


def write_latents(work: Path, train: PromptLatents, validation: PromptLatents) -> None:
    """Write what `EncodedConditions.load` reads."""
    from safetensors.torch import save_file

    splits = {"train": train, "validation": validation}
    save_file(
        {f"{split}.{name}": getattr(part, name).contiguous() for split, part in splits.items() for name in PARTS},
        work / FILE,
    )


def _latents(encoder: PolicyAutoencoder, prompts: PromptSet, file: StoreFile) -> tuple[Tensor, Tensor]:
    """Latents `[U, 2, D]` of all policies that the prompts come from, and which of them is each prompt's `[N]`."""
    import torch

    from hyprepro.stores.policy_store import PolicyStore
    from hyprepro.stores.training_data import training_tasks

    pairs, index = torch.stack([prompts.task, prompts.policy_row], dim=1).unique(dim=0, return_inverse=True)  # type: ignore[no-untyped-call]
    parts = []
    with PolicyStore.of(file) as store:
        for number, task in enumerate(training_tasks(store)):
            rows = pairs[pairs[:, 0] == number, 1].numpy()
            for start in range(0, len(rows), ROWS_AT_ONCE):
                params = store.read(task, rows[start : start + ROWS_AT_ONCE])
                parts.append(encoder.encode(torch.from_numpy(params)))
    return torch.cat(parts), index


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

        from hyprepro.stores.policy_store import PolicyStore
        from hyprepro.stores.training_data import held_out_rows, training_tasks

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
