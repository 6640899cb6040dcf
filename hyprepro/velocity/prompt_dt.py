"""Prompt-DT (Xu et al. 2022) in Table 4: told the test velocity by a few steps of its expert."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from hyprepro.models.prompt_dt import PromptTransformer
from hyprepro.recipe import component, setting
from hyprepro.stages.prompt_dt import TrainPromptDT
from hyprepro.velocity.base import VelocityMethod
from hyprepro.velocity.seeds import derived_seed

if TYPE_CHECKING:
    from hyprepro.models.networks.decision_transformer import Segment
    from hyprepro.models.networks.prompted import PromptedTransformer
    from hyprepro.velocity.data import VelocityFiles


@component
class PromptDT(VelocityMethod):
    """Prompt-DT: a Decision Transformer behind a prompt of the test velocity's expert, and the target return 0.

    Paper says (Xu et al.): one prompt a test task and evaluation, 50 episodes. We chose: `prompts` controllers, each
    with the end of another expert episode before it, so that the luck of one prompt does not decide.
    """

    label: ClassVar[str] = "prompt-dt"
    seeded: ClassVar[bool] = True
    knows: ClassVar[str] = "5 steps of an expert's episode at the test velocity, with their rewards"

    transformer: PromptTransformer = setting(PromptTransformer(), "the transformer and how it is trained")
    memory: int = setting(
        20, "most steps of its own episode that are seen at test time; at most the context (published: 20)", ge=1
    )
    prompts: int = setting(5, "number of prompts, each of another expert episode as far as there are", ge=1)

    @property
    def information(self) -> str:
        """With the length of the prompt."""
        return self.knows.replace("5", str(self.transformer.prompt_steps), 1)

    def training(self, data: VelocityFiles, velocities: tuple[float, ...], seed: int) -> TrainPromptDT:
        """The transformer, trained on the episodes of the training velocities.

        Raises:
            UserError: The prompt is longer than the context.
        """
        self.transformer.check()
        return TrainPromptDT(self.transformer, data.trajectories, velocities, seed)

    def deploy(
        self,
        trained: PromptedTransformer,
        data: VelocityFiles,
        velocities: tuple[float, ...],
        target: float,
        seed: int,
    ) -> PromptedAgents:
        """One agent a prompt; prompts are drawn from the test velocity's expert episodes.

        Raises:
            UserError: There are none.
        """
        import torch

        from hyprepro.stages.prompt_dt_job import EpisodeTensors, prompts
        from hyprepro.velocity.episodes import read_episodes

        (experts,) = read_episodes(data.trajectories, [target], "validation")
        order = np.random.default_rng(derived_seed(seed, target)).permutation(len(experts))
        rows = torch.from_numpy(np.resize(order, self.prompts))
        return PromptedAgents(trained, prompts(trained, EpisodeTensors.of([experts]), rows), self.memory)


class PromptedAgents:
    """Agents that share a transformer and differ in their prompt.

    Args:
        model: The trained transformer.
        prompts: One prompt a row.
        memory: The most steps of its own episode that an agent sees.
    """

    def __init__(self, model: PromptedTransformer, prompts: Segment, memory: int) -> None:
        self._model = model
        self._prompts = prompts
        self._memory = memory

    @property
    def n(self) -> int:
        """Number of prompts."""
        return len(self._prompts[0])

    def start(self) -> PromptedSession:
        """A session that remembers the last steps of its episodes."""
        return PromptedSession(self._model, self._prompts, self._memory)


class PromptedSession:
    """Parallel episodes of `PromptedAgents`."""

    def __init__(self, model: PromptedTransformer, prompts: Segment, memory: int) -> None:
        self._model = model
        self._prompts = prompts
        self._memory = memory

    def reset(self, rows: NDArray[np.int64]) -> None:
        """Episodes begin, each behind its controller's prompt."""
        states, actions, to_go, steps, _ = self._prompts
        self._agent = self._model.agent((states[rows], actions[rows], to_go[rows], steps[rows], None), self._memory)

    def act(self, observations: NDArray[np.float64]) -> NDArray[np.float32]:
        """The predicted actions."""
        import torch

        states = torch.from_numpy(observations.astype(np.float32)).to(self._prompts[0].device)
        actions: NDArray[np.float32] = self._agent.act(self._model.scaled(states)).cpu().numpy()
        return actions

    def observe(self, rewards: NDArray[np.float64]) -> None:
        """The returns-to-go fall by the rewards."""
        import torch

        scaled = torch.from_numpy((rewards / self._model.return_scale).astype(np.float32))
        self._agent.observe(scaled.to(self._prompts[0].device))
