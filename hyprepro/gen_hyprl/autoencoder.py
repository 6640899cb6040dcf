"""E and D: the autoencoder that maps policy parameters X to latents Z and back (stage 1, eq. 1).

Paper says: an encoder E_theta and a decoder D_theta trained by eq. 1 on SAC policies; nothing about their form.
Released code does: it uses Make-An-Agent's published autoencoder and holds none of its own. Make-An-Agent splits a
    policy into two chunks, the first layer (5,120 numbers) and the rest (17,544), and gives each a bias-free linear
    encoder to 1,024 numbers, one LayerNorm shared by both, and a linear decoder.
We chose: the same two tokens and linear maps, but (1) the first layer is written for standardised observations, so
    that an error counts by what it changes; (2) parameters are centred and scaled; (3) training is denoising, with
    noise as large as the policies' own deviations, and starts from its closed-form solution: principal components,
    shrunk. Unshrunk, small components carry half of a co-adapted change from one chunk and none from the other, which
    breaks policies that E has not seen; (4) no LayerNorm, which would remove the size of a deviation from the mean.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from hyprepro.component import Width, component, setting
from hyprepro.engine.trained import Schedule, Trained, TrainedStage
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.choices import Alignment, MatchedBy, OrderOf, Scale
from hyprepro.policies.layout import PolicyLayout
from hyprepro.stores.files import StoreFiles

if TYPE_CHECKING:
    from torch import Tensor

    from hyprepro.domains.base import Data
    from hyprepro.gen_hyprl.alignment import Runs
    from hyprepro.gen_hyprl.autoencoder_net import AutoencoderJob, PolicyAutoencoder
    from hyprepro.stores.training_data import Recording, TaskStates


class Autoencoder(Trained):
    """Slot of E and D. Every autoencoder makes latents of 2 tokens x `latent_size`."""

    slot: ClassVar[str] = "autoencoder"

    latent_size: int = setting(64, "D, numbers a token (1,024 in Make-An-Agent)", ge=2, le=16_384)
    scale: float = setting(1e3, "lambda of eq. 1", source="paper, eq. 1", ge=0)
    behaviour_weight: float = setting(
        0.0,
        "weight of the squared difference between the decoded and the stored policy's actions, on states of the "
        "policy's own task, beside eq. 1; with scale = 0 in its place (paper: 0)",
        ge=0,
    )
    behaviour_states: Width = setting(32, "states on which a step compares their actions")
    parameter_scaling: Scale = setting(
        "common", "how parameters are scaled before the encoders: none (Make-An-Agent), common or standard"
    )
    coordinates: Literal["observations", "raw"] = setting(
        "observations",
        "express the first layer for standardised observations, or take it as stored (Make-An-Agent: raw)",
    )
    alignment: Literal["none", "hidden_units"] = setting(
        "none", "permute policies' hidden units to match the first training policy's before E"
    )
    alignment_by: MatchedBy = setting(
        "weights", "units are matched by their weights, or by their activations on states of the training tasks"
    )
    alignment_of: OrderOf = setting(
        "policy",
        "every policy has an order of its own, or every training run, by its last training checkpoint: its checkpoints "
        "then stay as near to each other as they are",
    )
    input_noise: float = setting(
        1.0, "deviation of noise on scaled parameters in training (Make-An-Agent: 0.001)", ge=0
    )
    latent_noise: float = setting(0.0, "deviation of noise on latents in training", ge=0)
    latent_clamp: float = setting(0.0, "latents are clamped to +-this in training; 0 switches it off", ge=0)
    validation_share: float = setting(0.05, "share of the training policies held out for validation", ge=0, lt=1)

    def check(self) -> None:
        """Something is trained by, and what asks for steps has some (`UserError` if not)."""
        name = type(self).__name__
        if self.behaviour_weight and not self.steps:
            raise UserError(
                "The actions of decoded policies count in training steps alone, and there are none.",
                where=f"{name}.behaviour_weight, {name}.steps",
                fix=f"bind LinearAutoencoder or DeepAutoencoder with steps, or -b {name}.behaviour_weight=0",
            )
        if not self.scale and not self.behaviour_weight:
            raise UserError(
                "The autoencoder would be trained by nothing.",
                where=f"{name}.scale, {name}.behaviour_weight",
                fix=f"-b {name}.scale=1000, or a {name}.behaviour_weight above 0",
            )

    @property
    def aligned(self) -> Alignment | None:
        """How hidden units are put in order before E; None: not at all."""
        return None if self.alignment == "none" else Alignment(self.alignment_by, self.alignment_of)

    @property
    def seconds(self) -> float:
        """On one slow core: reading and principal components, then 0.4 ms a latent number and step."""
        return 5 + 4e-4 * self.latent_size * self.steps

    @abstractmethod
    def build(self, layout: PolicyLayout) -> PolicyAutoencoder:
        """An untrained autoencoder for policies of this layout."""

    def job(
        self, layout: PolicyLayout, params: Tensor, observations: Tensor, runs: Runs | None, states: TaskStates | None
    ) -> AutoencoderJob:
        """What trains it; the arguments are those of `AutoencoderJob`."""
        from hyprepro.gen_hyprl.autoencoder_net import AutoencoderJob

        return AutoencoderJob(self, layout, params, observations, runs, states)

    def start(self, model: PolicyAutoencoder, params: Tensor, observations: Tensor, runs: Runs | None = None) -> None:
        """Fit what is computed in closed form before the first step.

        Args:
            model: What `build` returned.
            params: Training policies `[N, P]`.
            observations: Observations of the training tasks `[M, obs]`.
            runs: Who stands for each policy where hidden units are put in order; None: every policy for itself.
        """
        standardising = observations if self.coordinates == "observations" else None
        model.space.fit(params, self.parameter_scaling, standardising, observations, runs)


@component
class LinearAutoencoder(Autoencoder):
    """Make-An-Agent's shape: two bias-free linear encoders and decoders (46.4 million weights at D = 1,024)."""

    steps: int = setting(100, "training steps", ge=0)
    batch_size: int = setting(32, "policies a step", source="Make-An-Agent", ge=2)
    learning_rate: float = setting(1e-6, "Adam's step size; Make-An-Agent uses 1e-3 from a random start", gt=0, le=1)
    weight_decay: float = setting(0.0, "weight decay (Make-An-Agent: 5e-3)", ge=0)
    schedule: Schedule = setting("cosine", "learning rate over time (Make-An-Agent: warm_restarts)")
    initialisation: Literal["random", "pca"] = setting(
        "pca", "start from the principal components of the training policies, or from random weights (Make-An-Agent)"
    )
    latent_norm: Literal["layer", "none"] = setting(
        "none", "LayerNorm shared by both tokens (Make-An-Agent: layer), or none"
    )

    def build(self, layout: PolicyLayout) -> PolicyAutoencoder:
        """Untrained E and D with random weights."""
        from hyprepro.gen_hyprl.autoencoder_net import linear_autoencoder

        return linear_autoencoder(layout, self.latent_size, self.latent_norm == "layer", self.aligned)

    def start(self, model: PolicyAutoencoder, params: Tensor, observations: Tensor, runs: Runs | None = None) -> None:
        """Fit the parameter scaling and, if asked for, put the principal components into E and D."""
        super().start(model, params, observations, runs)
        if self.initialisation == "pca":
            from hyprepro.gen_hyprl.autoencoder_net import start_from_principal_directions

            start_from_principal_directions(model, params, self.input_noise, runs)


@component
class PCAAutoencoder(Autoencoder):
    """E and D in closed form: the first D principal components of each chunk. Nothing is trained.

    The best linear autoencoder for eq. 1 on centred parameters. Components beyond the number of training policies are
    zero.
    """

    steps: int = setting(0, "no training steps: the solution is exact", ge=0, le=0)

    def build(self, layout: PolicyLayout) -> PolicyAutoencoder:
        """E and D before `start`."""
        from hyprepro.gen_hyprl.autoencoder_net import linear_autoencoder

        return linear_autoencoder(layout, self.latent_size, False, self.aligned)

    def start(self, model: PolicyAutoencoder, params: Tensor, observations: Tensor, runs: Runs | None = None) -> None:
        """Compute the principal components of training parameters `[N, P]`."""
        from hyprepro.gen_hyprl.autoencoder_net import start_from_principal_directions

        super().start(model, params, observations, runs)
        start_from_principal_directions(model, params, self.input_noise, runs)


@component
class DeepAutoencoder(Autoencoder):
    """An MLP encoder and decoder a chunk, for policies that no linear map compresses."""

    steps: int = setting(600, "training steps", ge=0)
    batch_size: int = setting(32, "policies a step", ge=2)
    learning_rate: float = setting(5e-4, "Adam's step size", gt=0, le=1)
    hidden: tuple[Width, ...] = setting((256,), "widths of the hidden layers, from the parameters to the latent")

    def build(self, layout: PolicyLayout) -> PolicyAutoencoder:
        """Untrained E and D with random weights."""
        from hyprepro.gen_hyprl.autoencoder_net import deep_autoencoder

        return deep_autoencoder(layout, self.latent_size, self.hidden, self.aligned)


@dataclass(frozen=True)
class TrainAutoencoder(TrainedStage["PolicyAutoencoder"]):
    """Trains an autoencoder on all training policies of a store: `encode(params [N, P]) -> Z [N, 2, D]` and `decode`.

    Attributes:
        model: E and D and how they are trained.
        stores: The policies, and the observations of the training tasks.
        recording: What the trajectory store has of them: prompts or episodes.

    Metrics: `loss` (eq. 1, in scaled parameters); `validation_error` (squared error on held-out training policies over
    their variance around the training mean, in unscaled parameters: 0 is perfect, 1 is what the mean policy reaches),
    also by chunk.
    """

    kind: ClassVar[str] = "autoencoder"

    model: Autoencoder
    stores: StoreFiles
    recording: Recording

    @classmethod
    def of(cls, autoencoder: Autoencoder, data: Data) -> TrainAutoencoder:
        """On the stores of a domain."""
        return cls(autoencoder, data.files, "prompts" if data.domain.condition == "prompt" else "episodes")

    @property
    def cost(self) -> float:
        """As its settings say."""
        return self.model.seconds

    def job(self, inputs: dict[str, Path]) -> Callable[[], AutoencoderJob]:
        """On the training policies."""
        from hyprepro.gen_hyprl.alignment import Runs
        from hyprepro.stores.training_data import (
            training_observations,
            training_policies,
            training_runs,
            training_states,
        )

        params, layout = training_policies(self.stores.policies)
        observations = training_observations(self.stores, self.recording)
        by_run = self.model.aligned is not None and self.model.aligned.of == "run"
        runs = Runs(*training_runs(self.stores.policies)) if by_run else None
        states = training_states(self.stores, self.recording) if self.model.behaviour_weight else None
        return partial(self.model.job, layout, params, observations, runs, states)

    def build(self, shape: Any) -> PolicyAutoencoder:
        """Untrained E and D of a layout."""
        return self.model.build(PolicyLayout.from_json(shape))
