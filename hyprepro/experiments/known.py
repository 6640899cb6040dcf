"""The training policies that an audit holds generated ones against, and which of them are near."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hyprepro.engine.stage import Report, Stage
from hyprepro.gen_hyprl.choices import Alignment, MatchedBy
from hyprepro.stores.files import StoreFiles

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hyprepro.domains.base import Data
    from hyprepro.gen_hyprl.parameter_space import ParameterSpace
    from hyprepro.policies.layout import PolicyLayout
    from hyprepro.stores.training_data import Recording

FILE = "known.safetensors"
BLOCK = 2048
"""Parameters that are summed at a time."""


@dataclass(frozen=True)
class KnownPolicies(Stage):
    """Puts the hidden units of all training policies into one order.

    Attributes:
        stores: The stores, as training sees them.
        recording: What the trajectory store has of the training tasks.
        matched_by: By what units are matched.
        limit: At most so many policies of each task, evenly spread over its rows.
    """

    kind: ClassVar[str] = "known-policies"

    stores: StoreFiles
    recording: Recording
    matched_by: MatchedBy
    limit: int

    @classmethod
    def of(cls, data: Data, matched_by: MatchedBy, limit: int) -> KnownPolicies:
        """Those of a domain's stores."""
        recording: Recording = "prompts" if data.domain.condition == "prompt" else "episodes"
        return cls(data.for_training.files, recording, matched_by, limit)

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"training policies, hidden units in one order by {self.matched_by}"

    @property
    def cost(self) -> float:
        """Seconds on one slow core, for ten tasks."""
        return 5 + 0.03 * 10 * self.limit

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write the policies in that order, as the store's single precision, and what they were matched by."""
        import torch
        from safetensors.torch import save_file

        from hyprepro.gen_hyprl.parameter_space import ParameterSpace
        from hyprepro.stores.training_data import run_numbers, training_observations

        parts: list[Tensor] = []
        tasks: list[int] = []
        runs: list[int] = []
        with self.stores.open_policies() as store:
            for number, task in enumerate(store.training_tasks()):
                rows = store.rows(task, "train")
                rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), self.limit)).round().astype(int))]
                parts.append(torch.from_numpy(store.read(task, rows)))
                tasks += [number] * len(rows)
                known = (store.meta(task)["seed"][rows] >= 0).all()
                runs += (run_numbers(store, task)[rows] if known else np.zeros(len(rows), np.int64)).tolist()
            layout = store.layout
        params = torch.cat(parts)
        observations = training_observations(self.stores, self.recording)
        space = ParameterSpace(layout, Alignment(self.matched_by, "policy"))
        space.fit(params, "none", observations)
        tensors = {"params": params, "aligned": space.aligned(params)}
        tensors |= {"task": torch.tensor(tasks), "run": torch.tensor(runs)}
        save_file({**tensors, **{f"space.{name}": value for name, value in space.state_dict().items()}}, work / FILE)

    def load(self, path: Path) -> Known:
        """The policies, and how others are matched to them."""
        from safetensors.torch import load_file

        from hyprepro.gen_hyprl.parameter_space import ParameterSpace

        with self.stores.open_policies() as store:
            layout, tasks = store.layout, store.tasks
            tasks = tuple(task for task in tasks if store.count(task, "train"))
        tensors = load_file(path / FILE)
        space = ParameterSpace(layout, Alignment(self.matched_by, "policy"))
        weights = {name: value for name, value in tensors.items() if name.startswith("space.")}
        space.load_state_dict({name.removeprefix("space."): value for name, value in weights.items()})
        return Known(layout, tasks, space, *(tensors[name] for name in ("params", "aligned", "task", "run")))


@dataclass(frozen=True)
class Near:
    """The training policies nearest to each of some policies, with hidden units matched to it; the nearest first.

    Attributes:
        index: Which they are `[n, K]`.
        params: Their parameters `[n, K, P]`.
        distance: Root mean square differences of parameters, as a share of a training parameter's `[n, K]`.
    """

    index: Tensor
    params: Tensor
    distance: Tensor


@dataclass(frozen=True)
class Known:
    """Training policies.

    Attributes:
        layout: Of all of them.
        tasks: Names of the training tasks.
        space: Matches hidden units.
        params: As stored `[N, P]`.
        aligned: With hidden units in one order `[N, P]`.
        task: Number of each one's task `[N]`.
        run: Number of its training run within the task `[N]`; 0 where the store knows no runs.
    """

    layout: PolicyLayout
    tasks: tuple[str, ...]
    space: ParameterSpace
    params: Tensor
    aligned: Tensor
    task: Tensor
    run: Tensor

    @property
    def scale(self) -> float:
        """Root mean square of a parameter."""
        return float(self.params.double().square().mean().sqrt())

    def near(self, params: Tensor, count: int) -> Near:
        """The nearest ones of policies `[n, P]`, K = `count` or as many as there are.

        Candidates are the nearest as stored or with all units in the common order, whichever is nearer; each is then
        matched to the policy itself, and taken in that order or as stored.
        """
        import torch

        apart = torch.minimum(_squares(params, self.params), _squares(self.space.aligned(params), self.aligned))
        candidates = apart.argsort(dim=1, stable=True)[:, :count]
        index, found, distance = [], [], []
        for policy, rows in zip(params, candidates, strict=True):
            stored = self.params[rows]
            both = torch.stack([stored, self.space.matched(stored, policy)], dim=1)
            differences = (both.double() - policy.double()).square().mean(2)
            better = differences.argmin(1)
            chosen = differences.gather(1, better[:, None])[:, 0]
            order = chosen.argsort(stable=True)
            index.append(rows[order])
            found.append(both[torch.arange(len(rows)), better][order])
            distance.append(chosen[order].sqrt() / self.scale)
        return Near(torch.stack(index), torch.stack(found), torch.stack(distance))

    def nearest_other(self, rows: Tensor) -> Tensor:
        """How far each of some training policies `[n]` is from the nearest other one, as stored `[n]`."""
        squares = _squares(self.params[rows], self.params)
        squares[range(len(rows)), rows] = float("inf")
        nearest = squares.argmin(1)
        difference = (self.params[rows].double() - self.params[nearest].double()).square().mean(1)
        distance: Tensor = difference.sqrt() / self.scale
        return distance

    def run_share(self, params: Tensor, task: Tensor) -> Tensor:
        """The largest weight when policies `[n, P]` are fitted by the means of a task's runs, as stored `[n]`.

        Args:
            params: The policies.
            task: Number of the task whose runs each is fitted by `[n]`.

        Returns:
            1 for a policy of one run, 1 / R for the average of R runs.
        """
        import torch

        shares = []
        for policy, number in zip(params.double(), task, strict=True):
            own = self.task == number
            runs = sorted(set(self.run[own].tolist()))
            means = torch.stack([self.params[own & (self.run == run)].double().mean(0) for run in runs])
            weights = torch.linalg.pinv(means @ means.T) @ (means @ policy)
            shares.append(weights.abs().max())
        return torch.stack(shares)

    def actions(self, params: Tensor, states: NDArray[np.float32]) -> Tensor:
        """Actions of policies `[n, P]` on states `[S, obs]`, flat `[n, S * A]`."""
        import torch

        from hyprepro.policies.forward import StackedPolicies

        x, parts = torch.from_numpy(states), []
        with torch.inference_mode():
            for start in range(0, len(params), 64):
                parts.append(StackedPolicies(self.layout, params[start : start + 64]).means(x).flatten(1))
        return torch.cat(parts).clone()


def _squares(one: Tensor, other: Tensor) -> Tensor:
    """Squared distances `[n, N]`, summed in double precision so that those of near-copies survive."""
    import torch

    squares = torch.zeros(len(one), len(other), dtype=torch.float64)
    for low in range(0, one.shape[1], BLOCK):
        first, second = (part[:, low : low + BLOCK].double() for part in (one, other))
        squares += first.square().sum(1)[:, None] + second.square().sum(1) - 2 * first @ second.T
    return squares.clamp_min(0)
