"""Sampling and updating as one step, on either device: step by step on a CPU, as a captured graph on a GPU.

On a GPU an update is some hundred small kernels, each of which takes less time than starting it. So the whole update
(drawing transitions and noise, temperature, critics, actor, targets, both optimisers) is captured once as a CUDA graph
and replayed; nothing of it waits for the host. Drawing then happens on the GPU, so its numbers differ from the CPU's.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hyprepro.collectors.replay import Replay
from hyprepro.collectors.sac import StackedSAC

_WARM_UP = 3


class Learner:
    """Updates a stack of agents from its replay.

    Args:
        sac: The agents.
        replay: Their memory, on the same device.
        generator: Randomness of the noise and, on a GPU, of drawing: on the agents' device.
        rng: Randomness of drawing on a CPU.
    """

    def __init__(self, sac: StackedSAC, replay: Replay, generator: torch.Generator, rng: np.random.Generator) -> None:
        self._sac, self._replay, self._generator, self._rng = sac, replay, generator, rng
        self._graphs: dict[bool, torch.cuda.CUDAGraph] = {}
        self._filled = torch.zeros((), device=sac.device)

    def update(self, train_actor: bool = True) -> None:
        """One update of every agent; see `StackedSAC.update`."""
        if self._sac.device.type == "cpu":
            self._sac.update(self._replay.sample(self._sac.settings.batch_size, self._rng), *self._noise(), train_actor)
            return
        self._filled.fill_(min(self._replay.added, self._replay.capacity))
        if train_actor not in self._graphs:
            self._graphs[train_actor] = self._captured(lambda: self.on_device(train_actor))
        self._graphs[train_actor].replay()

    def on_device(self, train_actor: bool) -> None:
        """What is captured: no number comes back to the host, and no memory is read that is not the same each time."""
        sac, device = self._sac, self._sac.device
        shape = (sac.agents, sac.settings.batch_size)
        draws = torch.rand(shape, generator=self._generator, device=device, dtype=torch.float64)
        batch = self._replay.rows((draws * self._filled).long())
        sac.update(batch, *self._noise(), train_actor)

    def _noise(self) -> tuple[Tensor, Tensor]:
        sac = self._sac
        shape = (2, sac.agents, sac.settings.batch_size, sac.layout.action_size)
        both = torch.randn(shape, generator=self._generator, device=sac.device)
        return both[0], both[1]

    def _captured(self, update: Callable[[], None]) -> torch.cuda.CUDAGraph:
        """The update as a graph; what it needs is warmed up on the agents, which get their values back."""
        kept, state = [tensor.clone() for tensor in self._sac.tensors()], self._generator.get_state()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                update()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        with torch.cuda.graph(graph):
            update()
        self._sac.restore({"tensors": kept})
        self._generator.set_state(state)
        return graph
