"""Velocity-conditioned behaviour cloning: one network for all velocities, told the same number as Gen-HypRL.

Training of the velocity-conditioned policy: pairs out of the stores, the network, and its stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from hyprepro.component import component, setting
from hyprepro.engine.stage import Report, Stage, StoreFile
from hyprepro.gen_hyprl.training import Trained
from hyprepro.methods.base import Method
from hyprepro.stores.files import StoreFiles

if TYPE_CHECKING:
    from hyprepro.domains.base import Condition, Data, Query
    from hyprepro.methods.velocity_cloning_net import ConditionedPolicy
    from hyprepro.policies.controllers import Controllers


@component
class VelocityCloning(Method, Trained):
    """An MLP from observation and velocity to the action, cloned on the training velocities' stored episodes.

    As wide as the experts, and deployed as one of them: the velocity's part of the first layer is folded into its bias.
    """

    label: ClassVar[str] = "velocity-cloning"
    seeded: ClassVar[bool] = True
    knows: ClassVar[str] = "the velocity; trained on the training velocities' stored episodes"
    conditions: ClassVar[frozenset[Condition]] = frozenset({"parameter"})

    episodes: Literal["expert", "offline", "both"] = setting(
        "both",
        "which stored episodes are cloned: the experts' own (few, without noise), those of the whole training of the "
        "experts (more, with SAC's exploration noise), or both",
    )
    deviation_floor: float = setting(1e-3, "smallest deviation that observations are divided by", gt=0)
    input_noise: float = setting(0.03, "deviation of the noise on standardised observations in training", ge=0)
    steps: int = setting(15_000, "training steps", ge=0)
    batch_size: int = setting(256, "pairs of observation and action a step", ge=2)
    learning_rate: float = setting(1e-3, "Adam's step size", gt=0, le=1)

    @property
    def information(self) -> str:
        """With the episodes that it is trained on."""
        kinds = "expert and offline" if self.episodes == "both" else self.episodes
        return self.knows.replace("stored", f"stored {kinds}")

    def training(self, data: Data, seed: int) -> TrainVelocityCloning:
        """The stage that trains the network."""
        return TrainVelocityCloning(self, data.policies, data.trajectories, seed)

    def deploy(self, trained: ConditionedPolicy, data: Data, query: Query, seed: int) -> Controllers:
        """The network folded at the target velocity: one policy."""
        from hyprepro.policies.controllers import PolicyControllers

        return PolicyControllers(trained.layout, trained.folded(query.parameter[0])[None])


WEIGHTS = "cloning.safetensors"


@dataclass(frozen=True)
class TrainVelocityCloning(Stage):
    """Trains the conditioned policy on the episodes of the training velocities.

    Attributes:
        cloning: The settings.
        policies: The policy store, which says what the training velocities are.
        trajectories: The trajectory store.
        seed: Seed of weights and batches.

    Metrics: `loss`, the mean squared error of actions; `validation_error`, the same on every tenth pair, which is held
    out.
    """

    kind: ClassVar[str] = "velocity-cloning"
    version: ClassVar[int] = 1

    cloning: VelocityCloning
    policies: StoreFile
    trajectories: StoreFile
    seed: int = 0

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"velocity cloning, seed {self.seed}"

    @property
    def cost(self) -> float:
        """Seconds on one slow core."""
        return 3 + 1e-3 * self.cloning.steps

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Train and write the weights."""
        from hyprepro.engine import training
        from hyprepro.methods.velocity_cloning_net import CloningJob, read_pairs

        pairs = read_pairs(StoreFiles(self.policies, self.trajectories), self.cloning.episodes)
        job = training.train(lambda: CloningJob(self.cloning, pairs), self.cloning.steps, work, report, self.seed)
        training.save_weights(job.modules["policy"], work / WEIGHTS)

    def load(self, path: Path) -> ConditionedPolicy:
        """The trained policy, frozen."""
        from hyprepro.engine.training import load_weights
        from hyprepro.gen_hyprl.blocks import frozen
        from hyprepro.methods.velocity_cloning_net import ConditionedPolicy
        from hyprepro.policies.layout import CHEETAH_LAYOUT

        model = ConditionedPolicy(CHEETAH_LAYOUT)
        load_weights(model, path / WEIGHTS)
        return frozen(model)
