"""A multi-task Decision Transformer that is told the task by a prompt (Chen et al. 2021; Xu et al. 2022).

The competitor of Tables 2 and 3: an agent with memory, trained on the stored training episodes. The paper states no
settings of it; sizes are those of the published code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import Width, component, setting
from hyprepro.engine.trained import Trained, TrainedStage, rate
from hyprepro.gen_hyprl.choices import check_heads
from hyprepro.methods.base import Method
from hyprepro.methods.decision_transformer.disturbed import DisturbedEpisodes
from hyprepro.stores.files import StoreFiles

if TYPE_CHECKING:
    from hyprepro.domains.base import Condition, Data, Query
    from hyprepro.methods.decision_transformer.network import PromptedNetwork
    from hyprepro.methods.decision_transformer.training import DecisionTransformerJob
    from hyprepro.policies.controllers import Controllers


_DT = "Decision Transformer's code"
_PROMPT_DT = "Prompt-DT's code"


@component
class PromptedTransformer(Trained):
    """A causal transformer over (return-to-go, state, action), with pieces of a prompt before the window.

    Paper says nothing. We chose: returns-to-go count in units of their task's mean training return, so that 1 asks for
    a typical training episode in every task, and an unseen task needs no number of its own.
    """

    slot = "transformer"

    context: int = setting(20, "steps of the episode that the network sees (K)", source=_DT, ge=2, le=16_384)
    width: Width = setting(128, "width of the tokens", source=_DT)
    layers: Width = setting(3, "transformer blocks", source=_DT)
    heads: Width = setting(1, "attention heads a block; must divide the width", source=_DT)
    dropout: float = setting(0.1, "share dropped in training", source=_DT, ge=0, lt=1)
    prompt_steps: int = setting(
        5, "states of the prompt that are seen, evenly spread over its 20", source=_PROMPT_DT, ge=1, le=20
    )
    smallest_scale: float = setting(0.01, "floor of the deviation that observations are divided by, in metres", gt=0)
    steps: int = setting(2000, "training steps", ge=0)
    batch_size: int = setting(16, "windows a step (published: 64)", ge=2)
    learning_rate: float = setting(1e-3, "AdamW's step size after the warm-up (published: 1e-4)", gt=0, le=1)
    weight_decay: float = setting(1e-4, "weight decay", source=_DT, ge=0)
    warm_up: int = setting(100, "steps over which the step size grows from zero (published: 10,000)", ge=0)
    gradient_clip: float = setting(0.25, "largest norm of a step's gradient; 0: no clipping", source=_DT, ge=0)

    def check(self) -> None:
        """The heads share the width evenly (`UserError` if not)."""
        check_heads("PromptedTransformer", "width", self.width, self.heads)

    def build(self, longest: int) -> PromptedNetwork:
        """An untrained network for training episodes of at most `longest` steps (`UserError` as for `check`)."""
        from hyprepro.methods.decision_transformer.network import DecisionTransformer, PromptedNetwork
        from hyprepro.stores.prompts import ACTION_SIZE, OBSERVATION_SIZE

        self.check()
        network = DecisionTransformer(
            OBSERVATION_SIZE,
            ACTION_SIZE,
            self.width,
            self.layers,
            self.heads,
            self.context,
            longest,
            self.dropout,
            prompt=True,
        )
        return PromptedNetwork(network, longest)

    def step_size(self, step: int) -> float:
        """As the base class, with the warm-up."""
        grown = min(1.0, (step + 1) / max(self.warm_up, 1))
        return self.learning_rate * grown * rate(self.schedule, step, self.steps)


@dataclass(frozen=True)
class TrainDecisionTransformer(TrainedStage["PromptedNetwork"]):
    """Trains the transformer on the episodes of training policies of all training tasks.

    Attributes:
        model: The network and how it is trained.
        episodes: Episodes beside the stored ones, or None.
        stores: The stored episodes, and which tasks and policies are for training.

    Metrics: `loss`; on the validation episodes `validation_error` (mean squared error over the variance of actions).
    """

    kind: ClassVar[str] = "decision-transformer"
    seconds: ClassVar[tuple[float, float]] = (5, 7e-3)

    model: PromptedTransformer
    episodes: DisturbedEpisodes | None
    stores: StoreFiles

    def job(self, inputs: dict[str, Path]) -> Callable[[], DecisionTransformerJob]:
        """On windows of the episodes."""
        from hyprepro.methods.decision_transformer.training import DecisionTransformerJob, trajectory_data

        recorded = {} if self.episodes is None else self.episodes.load(inputs["episodes"])
        data = trajectory_data(self.stores, self.model.context, self.model.prompt_steps, recorded)
        return partial(DecisionTransformerJob, self.model, data)


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
    conditions: ClassVar[frozenset[Condition]] = frozenset({"prompt"})
    needs: ClassVar[str] = "it is shown the states and actions of a prompt"

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

    def training(self, data: Data, seed: int) -> TrainDecisionTransformer:
        """The transformer, and the episodes that it learns from beside the stored ones."""
        count = self.disturbed_episodes
        more = DisturbedEpisodes(count, self.disturbance, self.longest, data.policies) if count else None
        return TrainDecisionTransformer(self.transformer, more, data.files, seed=seed)

    def deploy(self, trained: PromptedNetwork, data: Data, query: Query, seed: int) -> Controllers:
        """The transformer with each prompt."""
        from hyprepro.methods.decision_transformer.network import prompt_windows
        from hyprepro.methods.decision_transformer.session import TransformerSession
        from hyprepro.policies.controllers import OwnControllers

        windows = prompt_windows(query.shown, self.transformer.prompt_steps)
        memory = min(self.memory, self.transformer.context)
        return OwnControllers(len(windows.states), partial(TransformerSession, trained, windows, memory))
