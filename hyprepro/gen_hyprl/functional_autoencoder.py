"""An autoencoder of what policies do: E reads actions, D writes weights that act so.

Paper says: nothing of the kind; its E maps weights to latents, ours does by default (`LinearAutoencoder`).
Why: policies of different training runs start from different random weights. The linear autoencoder keeps none of the
    success of experts of a run that it was not trained on, and the mean of a task's policies has none
    (`hyprepro run zoos`), so that a generator trained by a squared error averages what cannot be averaged.
We chose: E asks a policy for its actions in probe states (Herrmann et al., "Learning useful representations of
    recurrent neural network weight matrices", 2024, call this probing), so that policies that act alike have one
    latent, whatever run they come from; D is trained on actions alone and writes every policy as a deviation from one
    training policy, so that what lies between two latents is a policy again. It cannot give back the weights it was
    shown, only what they do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyprepro.component import Width, component, setting
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.autoencoder import Autoencoder
from hyprepro.policies.layout import PolicyLayout

if TYPE_CHECKING:
    from torch import Tensor

    from hyprepro.gen_hyprl.alignment import Runs
    from hyprepro.gen_hyprl.functional_autoencoder_net import FunctionalJob, FunctionalPolicyAutoencoder
    from hyprepro.stores.training_data import TaskStates


@component
class FunctionalAutoencoder(Autoencoder):
    """E from actions in probe states to latents of 2 tokens, D from both tokens to all weights."""

    scale: float = setting(0.0, "lambda of eq. 1; weights need not be those that were shown", ge=0)
    behaviour_weight: float = setting(
        1.0, "weight of the squared difference of actions, on states of the policy's own task", gt=0
    )
    behaviour_states: Width = setting(64, "states on which a step compares a policy's actions")
    input_noise: float = setting(0.1, "deviation of noise on the probed actions in training", ge=0)
    latent_noise: float = setting(0.1, "deviation of noise on latents in training", ge=0)
    probes: Width = setting(512, "states of the training tasks in which E asks for actions")
    hidden: tuple[Width, ...] = setting((256,), "widths of E's hidden layers")
    decoder_hidden: tuple[Width, ...] = setting((256, 256), "widths of D's hidden layers")

    steps: int = setting(3000, "training steps", ge=1)
    batch_size: int = setting(32, "policies a step", ge=2)
    learning_rate: float = setting(1e-3, "AdamW's step size", gt=0, le=1)
    weight_decay: float = setting(1e-2, "weight decay", ge=0)
    gradient_clip: float = setting(1.0, "largest norm of a step's gradient; 0 switches clipping off", ge=0)

    def check(self) -> None:
        """No hidden units are put in order: E does not see them (`UserError` if they are to be)."""
        super().check()
        if self.aligned is not None:
            raise UserError(
                "E reads actions, which no order of hidden units changes.",
                where="FunctionalAutoencoder.alignment",
                fix="-b \"FunctionalAutoencoder.alignment='none'\"",
            )

    @property
    def seconds(self) -> float:
        """On one slow core: reading and probing, then 60 ms a step of 32 policies."""
        return 10 + 2e-3 * self.batch_size * self.steps

    def build(self, layout: PolicyLayout) -> FunctionalPolicyAutoencoder:
        """Untrained E and D with random weights."""
        from hyprepro.gen_hyprl.functional_autoencoder_net import FunctionalPolicyAutoencoder

        return FunctionalPolicyAutoencoder(self, layout)

    def job(
        self, layout: PolicyLayout, params: Tensor, observations: Tensor, runs: Runs | None, states: TaskStates | None
    ) -> FunctionalJob:
        """What trains it."""
        from hyprepro.gen_hyprl.functional_autoencoder_net import FunctionalJob

        return FunctionalJob(self, layout, params, observations, runs, states)
