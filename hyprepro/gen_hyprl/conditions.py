"""Between stages 1 and 2: the condition and the latent of every training sample, computed once.

Where the condition is a prompt, a sample is a prompt: (h, v) is its behaviour embedding tau_e, its latent that of the
policy which recorded it. Make-An-Agent publishes the same thing as `process_data.pt`. Where the condition is one number
or several, a sample is a training policy of a task: h are the task's numbers, v is empty. HypLatent, HypFormer,
Make-An-Agent's diffusion and the regressor all train on it.

Paper says: on Cheetah-Vel the condition is the target velocity, one scalar, and nothing about its scale. We chose:
every number centred on the middle of its domain's range and divided by the deviation of a uniform draw from it, the
same for every training set.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from hyprepro.engine.stage import Report, Stage, StoreFile
from hyprepro.engine.trained import M, TrainedStage
from hyprepro.gen_hyprl.autoencoder import TrainAutoencoder
from hyprepro.gen_hyprl.choices import RunCode
from hyprepro.gen_hyprl.embedding import TrainBehaviorEmbedding
from hyprepro.gen_hyprl.neighbours import Parameter, Ranges, neighbours
from hyprepro.gen_hyprl.runs import NearestRun, RunChoice, RunTable

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hyprepro.domains.base import Query
    from hyprepro.gen_hyprl.autoencoder_net import PolicyAutoencoder
    from hyprepro.gen_hyprl.embedding_net import PromptEmbedding
    from hyprepro.stores.training_data import PromptSet


FILE = "latents.safetensors"
PARTS = ("h", "v", "policy", "latents", "task")
ROWS_AT_ONCE = 256

Samples = tuple["LatentSamples", "LatentSamples"]
"""For training and for validation."""


@dataclass(frozen=True)
class LatentSamples:
    """Training samples as stages 2 and 3 see them.

    Attributes:
        h: `[N, E]`; the k numbers of a task, standardised, `[N, k]`.
        v: `[N, E]`; `[N, 0]` where the condition is h alone.
        policy: Which of `latents` is each sample's true latent `[N]`.
        latents: Z of every policy that some sample comes from `[U, 2, D]`.
        task: Task number of each sample `[N]`.
        run: Number of its policy's training run within the task `[N]`; None where runs are of no account.
    """

    h: Tensor
    v: Tensor
    policy: Tensor
    latents: Tensor
    task: Tensor
    run: Tensor | None = None

    def __len__(self) -> int:
        return len(self.h)

    @property
    def sizes(self) -> tuple[int, int]:
        """E (or k) and D."""
        return int(self.h.shape[1]), int(self.latents.shape[2])

    @property
    def true(self) -> Tensor:
        """The true latent of every sample `[N, 2, D]`."""
        return self.latents[self.policy]

    def to(self, device: torch.device) -> LatentSamples:
        """The same on a device."""
        return LatentSamples(*(part.to(device) for part in (self.h, self.v, self.policy, self.latents, self.task)))

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """h, v `[k, E]` and true latents `[k, 2, D]` of some samples."""
        return self.h[rows], self.v[rows], self.latents[self.policy[rows]]

    def part(self, rows: Tensor) -> LatentSamples:
        """Some samples alone, each with a latent of its own."""
        import torch

        h, v, latents = self.batch(rows)
        run = None if self.run is None else self.run[rows]
        return LatentSamples(h, v, torch.arange(len(rows)), latents, self.task[rows], run)


@dataclass(frozen=True)
class EncodedConditions(Stage):
    """What stages 2 and 3 train on, whatever the condition is.

    Attributes:
        autoencoder: The trained E and D.
        run_code: How h tells the training run of a sample's policy, if it does.
    """

    kind: ClassVar[str] = "latents"
    version: ClassVar[int] = 1

    autoencoder: TrainAutoencoder
    run_code: RunCode = field(default="none", kw_only=True)

    @property
    def cost(self) -> float:
        """Seconds on one slow core."""
        return 8.0

    @abstractmethod
    def encoded(self, encoder: PolicyAutoencoder, inputs: dict[str, Path]) -> tuple[LatentSamples, LatentSamples]:
        """Training and validation samples, their latents by a trained E."""

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write conditions and latents of both splits."""
        import torch
        from safetensors.torch import save_file

        with torch.no_grad():
            samples = self.encoded(self.autoencoder.load(inputs["autoencoder"]), inputs)
            samples, runs = with_runs(self.run_code, samples)
        tensors = {
            f"{split}.{name}": getattr(part, name).contiguous()
            for split, part in zip(("train", "validation"), samples, strict=True)
            for name in PARTS
        }
        save_file({**tensors, **runs}, work / FILE)

    def load(self, path: Path) -> tuple[LatentSamples, LatentSamples]:
        """Training and validation samples."""
        from safetensors.torch import load_file

        tensors = load_file(path / FILE)
        train, validation = (
            LatentSamples(*(tensors[f"{split}.{name}"] for name in PARTS)) for split in ("train", "validation")
        )
        return train, validation


@dataclass(frozen=True)
class EncodePrompts(EncodedConditions):
    """Encodes training and validation prompts.

    Attributes:
        autoencoder: The trained E and D.
        embedding: The trained phi and psi.
    """

    embedding: TrainBehaviorEmbedding

    def encoded(self, encoder: PolicyAutoencoder, inputs: dict[str, Path]) -> tuple[LatentSamples, LatentSamples]:
        """The prompts' embeddings and the latents of the policies that recorded them."""
        from hyprepro.stores.training_data import training_prompts

        embedding = self.embedding.load(inputs["embedding"])
        splits = []
        for prompts in training_prompts(self.embedding.stores, self.embedding.model.validation_share):
            h, v = embedding.embed(prompts.tau, prompts.tau_hat)
            latents, policy = _latents(encoder, prompts, self.autoencoder.stores.policies)
            run = None if self.run_code == "none" else _runs(prompts, self.autoencoder.stores.policies)
            splits.append(LatentSamples(h, v, policy, latents, prompts.task, run))
        train, validation = splits
        return train, validation


def _latents(encoder: PolicyAutoencoder, prompts: PromptSet, file: StoreFile) -> tuple[Tensor, Tensor]:
    """Latents `[U, 2, D]` of all policies that the prompts come from, and which of them is each prompt's `[N]`."""
    import torch

    from hyprepro.stores.policy_store import PolicyStore

    pairs, index = torch.stack([prompts.task, prompts.policy_row], dim=1).unique(dim=0, return_inverse=True)  # type: ignore[no-untyped-call]
    parts = []
    with PolicyStore.of(file) as store:
        for number, task in enumerate(store.training_tasks()):
            rows = pairs[pairs[:, 0] == number, 1].numpy()
            for start in range(0, len(rows), ROWS_AT_ONCE):
                parts.append(encoder.encode_stored(store, task, rows[start : start + ROWS_AT_ONCE]))
    return torch.cat(parts), index


def _runs(prompts: PromptSet, file: StoreFile) -> Tensor:
    """The number of each prompt's training run within its task `[N]`."""
    import torch

    from hyprepro.stores.policy_store import PolicyStore
    from hyprepro.stores.training_data import run_numbers

    numbers = torch.zeros(len(prompts), dtype=torch.long)
    with PolicyStore.of(file) as store:
        for number, task in enumerate(store.training_tasks()):
            own = prompts.task == number
            numbers[own] = torch.from_numpy(run_numbers(store, task))[prompts.policy_row[own]]
    return numbers


def with_runs(code: RunCode, splits: Samples) -> tuple[Samples, dict[str, Tensor]]:
    """Training and validation samples whose h tells their run, and the runs; as they are where it is not told."""
    import torch

    train, validation = splits
    if code == "none" or train.run is None or validation.run is None:
        return splits, {}
    pairs = torch.cat([torch.stack([part.task, part.run], 1) for part in (train, validation) if part.run is not None])
    known, index = pairs.unique(dim=0, return_inverse=True)  # type: ignore[no-untyped-call]
    share = torch.nn.functional.one_hot(index, len(known)).float().T
    share = share / share.sum(1, keepdim=True)
    h, v = (share @ torch.cat(parts) for parts in ((train.h, validation.h), (train.v, validation.v)))
    table = RunTable(code, known[:, 0], known[:, 1], h, v)
    told = []
    for part, rows in zip(splits, index.split([len(train), len(validation)]), strict=True):
        longer = table.told(part.h, part.v, rows)
        told.append(replace(part, h=longer[0], v=longer[1]))
    return (told[0], told[1]), table.tensors()


@dataclass(frozen=True)
class EncodeParameters(EncodedConditions):
    """Encodes the training policies of tasks that are told by numbers.

    Attributes:
        autoencoder: The trained E and D; its policy store shows the training tasks alone.
        parameters: The numbers of each training task, in the store's order.
        ranges: The range of each number.
        checkpoints: The last so many policies of each task; 0: all of them.
        between: For each two neighbouring tasks, mixtures of their latents at so many places between them.
        share: Share of the policies that is held out for the generators' validation metrics.
    """

    parameters: tuple[Parameter, ...]
    ranges: Ranges
    checkpoints: int = 0
    between: int = 0
    share: float = 0.05

    def encoded(self, encoder: PolicyAutoencoder, inputs: dict[str, Path]) -> tuple[LatentSamples, LatentSamples]:
        """The tasks' standardised numbers and the latents of their policies."""
        import torch

        from hyprepro.stores.policy_store import PolicyStore
        from hyprepro.stores.training_data import held_out_rows, run_numbers

        latents: list[Tensor] = []
        runs: list[Tensor] = []
        with PolicyStore.of(self.autoencoder.stores.policies) as store:
            for task in store.training_tasks():
                rows = store.rows(task, "train")
                rows = rows[store.meta(task)["step"][rows].argsort(kind="stable")][-self.checkpoints :]
                latents.append(encoder.encode_stored(store, task, rows))
                if self.run_code != "none":
                    runs.append(torch.from_numpy(run_numbers(store, task)[rows]))
        counts = torch.tensor([len(part) for part in latents])
        h, v = condition(torch.tensor(self.parameters).repeat_interleave(counts, dim=0), self.ranges)
        tasks = torch.arange(len(latents)).repeat_interleave(counts)
        run = torch.cat(runs) if runs else None
        everything = LatentSamples(h, v, torch.arange(len(h)), torch.cat(latents), tasks, run)
        train, validation = (everything.part(rows) for rows in held_out_rows(len(h), self.share))
        return self._with_mixtures(train) if self.between else train, validation

    def _with_mixtures(self, known: LatentSamples) -> LatentSamples:
        """With mixtures of each two neighbours: latents of equal age, in proportion to the place between."""
        import torch

        h, latents, tasks = [known.h], [known.latents], [known.task]
        groups = [torch.nonzero(known.task == task)[:, 0] for task in range(len(self.parameters))]
        for first, second in neighbours(self.parameters, self.ranges):
            count = min(len(groups[first]), len(groups[second]))
            one, other = (groups[task][len(groups[task]) - count :] for task in (first, second))
            for share in torch.linspace(0, 1, self.between + 2)[1:-1].tolist():
                h.append(torch.lerp(known.h[one], known.h[other], share))
                latents.append(torch.lerp(known.latents[one], known.latents[other], share))
                tasks.append(known.task[one])
        every = torch.cat(h)
        return LatentSamples(every, every[:, :0], torch.arange(len(every)), torch.cat(latents), torch.cat(tasks))


@dataclass(frozen=True)
class Conditions:
    """What the later stages see of a query.

    Attributes:
        embedding: phi and psi, which make (h, v) of prompts; None where the condition is numbers.
        ranges: The range of each number; empty where the condition is a prompt.
        runs: The training runs, where their number is part of the condition.
        choice: What chooses one of them.
    """

    embedding: PromptEmbedding | None = None
    ranges: Ranges = ()
    runs: RunTable | None = None
    choice: RunChoice = field(default_factory=NearestRun)

    def of(self, query: Query, draws: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """(h, v) `[n, E]` of a query's prompts; of its numbers, n times the same `[n, k]` and `[n, 0]`.

        Args:
            query: What is asked.
            draws: Draws the run, where one is drawn.

        Raises:
            UserError: A run is asked for that no training knew.
        """
        import torch

        h, v = self._told(query)
        if self.runs is None:
            return h, v
        return self.runs.told(h, v, self.choice.choose(self.runs, h, v, draws or torch.Generator().manual_seed(0)))

    def _told(self, query: Query) -> tuple[Tensor, Tensor]:
        import torch

        if self.embedding is None:
            return condition(torch.tensor([query.parameter]).repeat(query.n, 1), self.ranges)
        prompts = query.shown
        with torch.no_grad():
            return self.embedding.embed(torch.from_numpy(prompts.tau), torch.from_numpy(prompts.tau_hat))


def condition(parameters: Tensor, ranges: Ranges) -> tuple[Tensor, Tensor]:
    """H `[n, k]` and the empty v `[n, 0]` of tasks that are told by numbers `[n, k]`."""
    center = parameters.new_tensor([(low + high) / 2 for low, high in ranges])
    deviation = parameters.new_tensor([(high - low) / 12**0.5 for low, high in ranges])
    return (parameters - center) / deviation, parameters[:, :0]


class LatentSource(Protocol):
    """What turns conditions into latents: HypLatent's G, HypFormer on top of it, or what stands in their place."""

    def draw(self, h: Tensor, v: Tensor, draws: torch.Generator) -> Tensor:
        """Latents `[N, 2, D]`, ready for the decoder, for embeddings `[N, E]`; all noise comes from `draws` (CPU)."""
        ...


@dataclass(frozen=True)
class LatentModel(TrainedStage[M]):
    """Trains a `LatentSource`, so that `assembled` puts together what it has never heard of.

    Attributes:
        latents: The encoded conditions that it is trained on.
    """

    latents: EncodedConditions
