"""The training run's number as a further condition, and which run is chosen where nobody says it.

Several training runs of a task solve it in different weights, and a prompt does not say which of them it came from:
what is trained by a squared error then averages them. Told the number of the run in training, a generator can give each
its own; at deployment a run is chosen. RPG feeds the checkpoint's own index in this way, its "permutation state".

A run's number counts within its task, from 0, in the order of the runs' seeds: run 2 of one task has nothing to do with
run 2 of another. It is appended to h, and v is made as long, so that everything that sees (h, v) sees it.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import Component, component, setting
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.choices import RunCode

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PARTS = ("task", "number", "h", "v")


@dataclass(frozen=True)
class RunTable:
    """The training runs.

    Attributes:
        code: How a run is told.
        task: Task number of each run `[R]`.
        number: Its number within the task `[R]`.
        h: Mean of h over the samples of its policies `[R, E]`.
        v: Mean of v over them `[R, E]`.
    """

    code: RunCode
    task: Tensor
    number: Tensor
    h: Tensor
    v: Tensor

    def told(self, h: Tensor, v: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(h, v) `[N, E]` with the code of each one's run: h longer by it, v as much longer by zeros (if it has any).

        Args:
            h: Of each sample.
            v: Of each sample.
            rows: The run of each sample, a row of this table `[N]`.
        """
        import torch

        if self.code == "one_hot":
            codes = torch.nn.functional.one_hot(self.number, int(self.number.max()) + 1).to(h.dtype)
        else:
            codes = torch.cat([self.h, self.v], dim=1)
        code = codes[rows]
        return torch.cat([h, code], dim=1), torch.cat([v, torch.zeros_like(code)], dim=1) if v.shape[1] else v

    def nearest(self, h: Tensor, v: Tensor) -> Tensor:
        """The run whose mean (h, v) is nearest to each (h, v) `[N]`, of equally near ones the first."""
        import torch

        known, asked = (torch.cat(parts, dim=1).double() for parts in ((self.h, self.v), (h, v)))
        return torch.cdist(asked, known).argmin(1)

    def tensors(self) -> dict[str, Tensor]:
        """For a file."""
        return {f"runs.{name}": getattr(self, name).contiguous() for name in PARTS}

    @classmethod
    def load(cls, code: RunCode, file: Path) -> RunTable:
        """From the file that `tensors` went into."""
        from safetensors.torch import load_file

        tensors = load_file(file)
        return cls(code, *(tensors[f"runs.{name}"] for name in PARTS))


class RunChoice(Component):
    """Slot of what chooses a run at deployment."""

    slot: ClassVar[str] = "run_choice"

    def check_known(self, most: int) -> None:
        """Whether it can choose among the runs of tasks that have at most `most` (`UserError` if not)."""

    @abstractmethod
    def choose(self, runs: RunTable, h: Tensor, v: Tensor, draws: torch.Generator) -> Tensor:
        """A run for each (h, v) `[N, E]`: rows of the table `[N]`."""


@component
class NearestRun(RunChoice):
    """The run whose mean behaviour embedding is nearest to the prompt's; of a task told by numbers its first run."""

    def choose(self, runs: RunTable, h: Tensor, v: Tensor, draws: torch.Generator) -> Tensor:
        """The nearest run of all."""
        return runs.nearest(h, v)


@component
class DrawnRun(RunChoice):
    """Any run of the task whose run is nearest, each with the same probability, drawn anew for each policy."""

    def choose(self, runs: RunTable, h: Tensor, v: Tensor, draws: torch.Generator) -> Tensor:
        """Drawn from `draws`."""
        import torch

        own = runs.task[runs.nearest(h, v)][:, None] == runs.task
        return torch.multinomial(own.float(), 1, generator=draws)[:, 0]


@component
class GivenRun(RunChoice):
    """The run of a number, of the task whose run is nearest."""

    number: int = setting(0, "the run's number within its task", ge=0)

    def check_known(self, most: int) -> None:
        """Some training run has this number (`UserError` if not)."""
        if self.number >= most:
            raise UserError(
                f"No training knew a run {self.number}; the training runs of a task are 0 to {most - 1}.",
                where="GivenRun.number",
                fix=f"-b GivenRun.number={most - 1}, or let @NearestRun() or @DrawnRun() choose",
            )

    def choose(self, runs: RunTable, h: Tensor, v: Tensor, draws: torch.Generator) -> Tensor:
        """The runs of this number (`UserError` if a task has none)."""
        self.check_known(int(runs.number.max()) + 1)
        task = runs.task[runs.nearest(h, v)]
        match = (task[:, None] == runs.task) & (runs.number == self.number)
        if not match.any(1).all():
            lacking = task[~match.any(1)][0]
            raise UserError(
                f"The training task that is nearest has no run {self.number}, only "
                f"0 to {int(runs.number[runs.task == lacking].max())}.",
                where="GivenRun.number",
                fix="choose a number that all tasks have, or let @NearestRun() or @DrawnRun() choose",
            )
        return match.float().argmax(1)
