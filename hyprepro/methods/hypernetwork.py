"""Networks that write a policy's weights from a condition and are trained through the policy, on what experts did.

Gen-HypRL is taught weights; these are taught actions. The written policy acts in an expert's states, and the error of
its actions is what the writing network descends. So they need no policies of one shape, and none at all: episodes are
enough. `HyperZero` and `HyPoGen` differ in the network; data and losses are the same code in their releases, and the
same here. Their releases differ in how long they train and by what schedule, in splits, and in which network is
evaluated.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from hyprepro.component import Width, setting
from hyprepro.domains.base import RETURN
from hyprepro.engine.trained import Schedule, Trained
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.adaptation import Start
from hyprepro.gen_hyprl.embedding import BehaviorEmbedding, ContrastiveEmbedding
from hyprepro.methods.base import WeightMethod
from hyprepro.methods.cloning import ConditionedStage
from hyprepro.methods.fresh_episodes import FRESH, episodes_of, require_numbers
from hyprepro.policies.layout import PolicyLayout

if TYPE_CHECKING:
    from torch import nn

    from hyprepro.domains.base import Data, Domain, Query
    from hyprepro.methods.hypernetwork_net import Hypernetwork, HypernetworkJob, TrainedHypernetwork
    from hyprepro.policies.layout import Activation

Episodes = Literal["expert", "offline", "both"]
Sizes = tuple[int, ...]
"""Of an MLP: inputs, hidden widths, outputs."""


class WritingMethod(WeightMethod, Trained):
    """Base of the methods whose network writes policies and is trained through them, on pairs of state and action.

    Loss, of the policy pi and the critic Q written for a task's condition, over steps (s, a, r, s') of its experts:

        |pi(s) - a|^2 + value_weight |Q(s, a) - q|^2 + td_weight |q - (r + td_discount Q(s', pi(s')))|^2

    with q the expert's action value, in which pi(s') passes no gradient on. One network writes both pi and Q.

    Released code does: q is the expert's own critic at (s, a). We chose: the discounted rewards from the step to the
    episode's end and, where the recording ended it, the mean reward of its second half for ever after, as stores hold
    no critics. Where tasks are scored by success, nothing is learnt of values.
    HyperZero's code does: weights are written for every sample of a batch. We chose: a batch has equally many samples
    of each of its tasks and weights are written once a task, which is the same loss where tasks have equally many
    steps. A tenth of the steps is held out.

    The condition is the one that Gen-HypRL's generator sees: a task's numbers (as they are, or standardised), or (h, v)
    of a prompt, with the episodes that the training prompts are cut from. One policy a prompt, or one for a task told
    by numbers.
    """

    seeded: ClassVar[bool] = True
    step_seconds: ClassVar[float]
    """What a step costs on one slow core, without a critic."""
    knows: ClassVar[str] = (
        "the {told}; trained on states and actions of the training tasks' stored episodes, not weights"
    )

    embedding: BehaviorEmbedding = setting(ContrastiveEmbedding(), "phi, psi and W (eq. 2), which prompts are told by")
    episodes: Episodes = setting(
        "expert",
        "which stored episodes of tasks told by numbers are learnt from: the experts' own, without noise (released), "
        "those of the experts' whole training, or both",
        source="released code",
    )
    fresh_episodes: int = setting(0, FRESH, ge=0, le=1_000)
    standardised: bool = setting(
        False,
        "whether numbers are centred and scaled by their range; if not, they are taken as they are (released)",
        source="released code",
    )
    hidden: tuple[Width, ...] = setting(
        (256,), "hidden widths of the policies that are written; none: those of the stored ones", source="released code"
    )
    code: Width = setting(256, "z, the width of the encoded condition", source="released code", ge=8)
    value_weight: float = setting(
        0.01, "weight of the value error; 0 with td_weight 0: no critic", ge=0, source="released code"
    )
    td_weight: float = setting(0.01, "weight of the temporal difference", ge=0, source="released code")
    discount: float = setting(0.99, "discount of the experts' values", gt=0, lt=1, source="released code")
    td_discount: float = setting(
        1.0, "discount in the temporal difference (released: the environment's, 1)", gt=0, le=1, source="released code"
    )
    tasks_at_once: int = setting(64, "conditions in a batch, at most", ge=1)
    batch_size: int = setting(
        512, "samples a step, about: equally many of each condition", ge=2, source="released code"
    )
    looks: int = setting(
        0, "networks that are kept of the training, evenly spaced, the last one among them", ge=0, le=100
    )
    deployed: Literal["last", "looks"] = setting(
        "last",
        "the network after the last step; or, of a task told by numbers, each of the looks in turn, for BestLook",
    )
    schedule: Schedule = setting(
        "constant", "learning rate over time: constant, cosine (to zero) or warm_restarts", source="released code"
    )

    def information(self, domain: Domain) -> str:
        """With the episodes that it is trained on, and whether their rewards count."""
        told = super().information(domain)
        if domain.condition == "parameter":
            told = told.replace("stored episodes", episodes_of(self))
        told = told.replace("states and actions", "states, actions and rewards") if self.is_valued(domain) else told
        return told if self.deployed == "last" else f"{told}; the mean over {self.looks} networks of its training"

    def check(self) -> None:
        """Looks that are deployed are kept, and steps are enough for them (`UserError` if not)."""
        name = type(self).__name__
        if self.deployed == "looks" and not 0 < self.looks <= self.steps:
            raise UserError(
                f"{name} deploys the looks of its training, and {self.looks} are kept of {self.steps} steps.",
                where=f"{name}.deployed, {name}.looks, {name}.steps",
                fix=f"-b {name}.looks=10, or -b \"{name}.deployed='last'\"",
            )

    def require(self, data: Data) -> None:
        """Looks and fresh episodes are of tasks told by numbers: prompts have a policy each already."""
        super().require(data)
        require_numbers(self, data)
        if self.deployed == "looks" and data.domain.condition == "prompt":
            raise UserError(
                f"{self.name} deploys the looks of its training, and {data.domain.title} tells its tasks by prompts.",
                where=f"{type(self).__name__}.deployed",
                fix=f"-b \"{type(self).__name__}.deployed='last'\"",
            )

    def is_valued(self, domain: Domain) -> bool:
        """Whether a critic is written as well."""
        return domain.metric == RETURN and (self.value_weight > 0 or self.td_weight > 0)

    def network(self, layout: PolicyLayout, condition_size: int, valued: bool) -> Hypernetwork:
        """The untrained network that writes policies of a layout, and critics of the same widths if `valued`."""
        from hyprepro.methods.hypernetwork_net import ConditionEncoder, Hypernetwork, critic_sizes, policy_sizes

        encoder = ConditionEncoder(condition_size, self.code)
        critics = self.writer(critic_sizes(layout)) if valued else None
        return Hypernetwork(layout, encoder, self.writer(policy_sizes(layout)), critics)

    @abstractmethod
    def writer(self, sizes: Sizes) -> nn.Module:
        """What writes an MLP of these sizes, untrained: z `[C, code]` -> its layers."""

    def layout_of(self, stored: PolicyLayout) -> PolicyLayout:
        """The layout of the policies that are written, where those of the store have this one."""
        if not self.hidden:
            return stored
        relu: Activation = "relu"
        sizes = stored.observation_size, self.hidden, stored.action_size
        return PolicyLayout.mlp(*sizes, (relu,) * len(self.hidden), "tanh", stored.bounds)

    def training(self, data: Data, seed: int) -> TrainHypernetwork:
        """The stage that trains the network."""
        settings = self.model_copy(update={"row": "", "adaptation": None, "deployed": "last"})
        return TrainHypernetwork.of(settings, data, seed, valued=self.is_valued(data.domain))

    def generate(self, trained: TrainedHypernetwork, data: Data, query: Query, seed: int) -> Start:
        """The policy that is written for each condition; or that of each look."""
        asked = query._replace(n=max(query.n, 1))
        params = trained.policies(asked) if self.deployed == "last" else trained.looks(asked)
        return Start(trained.network.layout, params)


@dataclass(frozen=True)
class TrainHypernetwork(ConditionedStage):
    """Trains the network that writes policies.

    Attributes:
        valued: Whether values are learnt too.

    Metrics: `loss`, `action_error` and, with values, `value_error` and `td_error`; `validation_error`, the mean squared
    error of actions on every tenth sample, which is held out.
    """

    kind: ClassVar[str] = "hypernetwork"

    model: WritingMethod
    valued: bool = False

    @property
    def cost(self) -> float:
        """Seconds on one slow core."""
        return 3 + self.model.step_seconds * self.model.steps * (2 if self.valued else 1)

    def job(self, inputs: dict[str, Path]) -> Callable[[], HypernetworkJob]:
        """On the steps of the episodes."""
        from hyprepro.methods.hypernetwork_net import HypernetworkJob, steps_of_prompts, steps_of_tasks

        with self.stores.open_policies() as store:
            layout = self.model.layout_of(store.layout)
        if self.embedding is None:
            steps, conditions = steps_of_tasks(self, self.episodes(inputs))
        else:
            steps, conditions = steps_of_prompts(self, self.embedding.load(inputs["embedding"]))
        return partial(HypernetworkJob, self.model, layout, steps, conditions, self.valued)

    def build(self, shape: dict[str, Any]) -> Hypernetwork:
        """The untrained network of a layout and a size of conditions, with its looks."""
        layout = PolicyLayout.from_json(shape["layout"])
        return self.model.network(layout, shape["condition"], shape["valued"]).with_looks(self.model.looks)

    def load(self, path: Path) -> TrainedHypernetwork:
        """The trained network, frozen, with what makes its conditions."""
        from hyprepro.methods.hypernetwork_net import TrainedHypernetwork

        return TrainedHypernetwork(super().load(path), self.conditions(path), self.model.standardised)
