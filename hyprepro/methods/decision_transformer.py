"""Decision Transformer: an agent with memory that is told the task by the prompt, on seen and unseen tasks alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hyprepro.methods.base import Method
from hyprepro.models.prompted_transformer import PromptedTransformer
from hyprepro.recipe import component, setting
from hyprepro.stages.decision_transformer import TrainDecisionTransformer
from hyprepro.stages.disturbed_episodes import DisturbedEpisodes

if TYPE_CHECKING:
    from hyprepro.evaluation.controllers import Controllers
    from hyprepro.models.networks.prompted_transformer import PromptedNetwork
    from hyprepro.stores.files import StoreFiles
    from hyprepro.stores.prompts import Prompts


@component
class MultiTaskDecisionTransformer(Method):
    """One transformer for all tasks, trained on whole training episodes; nothing is fitted at test time.

    Paper states no protocol. We chose: the task is told by the prompt that Gen-HypRL gets, as in Prompt-DT; no task
    label, no reward and no return of a test task is used. At test time the return-to-go falls along the training
    episodes' mean, in units of their return, since no method is given rewards there. It is trained on twenty steps and
    sees four: with its own last twenty before it, it repeats its mistakes (chosen on validation prompts of seen tasks).
    """

    label: ClassVar[str] = "decision-transformer"
    seeded: ClassVar[bool] = True
    knows: ClassVar[str] = (
        "the prompt; trained on whole episodes of the training policies with their rewards (the training prompts' own)"
    )

    transformer: PromptedTransformer = setting(PromptedTransformer(), "the network and how it is trained")
    memory: int = setting(4, "most steps of an episode that are seen at test time; at most the context", ge=2)
    disturbed_episodes: int = setting(
        0, "episodes of each stored training policy under disturbed actions; 0: the stored episodes alone", ge=0
    )
    disturbance: float = setting(0.3, "deviation of the noise on those actions", ge=0)
    longest: int = setting(150, "steps of such an episode if it does not succeed", ge=60, le=500)

    @property
    def uses(self) -> str:
        """The same in a few words."""
        return "prompt"

    def training(self, data: StoreFiles, seed: int) -> TrainDecisionTransformer:
        """The transformer, and the episodes that it learns from beside the stored ones."""
        count = self.disturbed_episodes
        more = DisturbedEpisodes(count, self.disturbance, self.longest, data.policies) if count else None
        return TrainDecisionTransformer(more, self.transformer, data.policies, data.trajectories, seed)

    def deploy(self, trained: PromptedNetwork, data: StoreFiles, prompts: Prompts, seed: int) -> Controllers:
        """The transformer with each prompt."""
        from hyprepro.models.networks.prompted_transformer import prompt_windows
        from hyprepro.models.networks.transformer_memory import TransformerControllers

        windows = prompt_windows(prompts, self.transformer.prompt_steps)
        return TransformerControllers(trained, windows, min(self.memory, self.transformer.context))
