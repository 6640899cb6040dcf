"""The autoencoder ceiling: each test prompt's own source policy after E and D."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hyprepro.methods.base import Method
from hyprepro.models.policy_autoencoder import Autoencoder, LinearAutoencoder
from hyprepro.recipe import component, setting
from hyprepro.stages.autoencoder import TrainAutoencoder

if TYPE_CHECKING:
    from hyprepro.evaluation.controllers import Controllers
    from hyprepro.models.networks.policy_autoencoder import PolicyAutoencoder
    from hyprepro.stores.files import StoreFiles
    from hyprepro.stores.prompts import Prompts


@component
class AutoencoderCeiling(Method):
    """D(E(X)) of the policy X that recorded the prompt: what a generator that hits the true latent reaches.

    X is a test policy, so E and D have not seen it; a generator can score higher by aiming at latents of training
    policies, which E and D know. Make-An-Agent's evaluation scores the same.
    """

    label: ClassVar[str] = "autoencoder"
    knows: ClassVar[str] = "the test prompt's own source policy"

    autoencoder: Autoencoder = setting(LinearAutoencoder(), "E and D (eq. 1)")

    def training(self, data: StoreFiles, seed: int) -> TrainAutoencoder:
        """The same stage that the generators decode with."""
        return TrainAutoencoder(self.autoencoder, data.policies, data.trajectories)

    def deploy(self, trained: PolicyAutoencoder, data: StoreFiles, prompts: Prompts, seed: int) -> Controllers:
        """The reconstructed policies (`UserError` if a source policy is not stored)."""
        import torch

        from hyprepro.evaluation.controllers import PolicyControllers
        from hyprepro.methods.stored import source_policies

        layout, params = source_policies(data, prompts)
        with torch.no_grad():
            return PolicyControllers(layout, trained.decode(trained.encode(torch.from_numpy(params))))
