"""The expert ceiling: each test prompt's own source policy, as it is stored.

The autoencoder ceiling: each test prompt's own source policy after E and D.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from hyprepro.component import component, setting
from hyprepro.gen_hyprl.autoencoder import Autoencoder, LinearAutoencoder, TrainAutoencoder
from hyprepro.methods.base import Method

if TYPE_CHECKING:
    from hyprepro.domains.base import Condition, Data, Query
    from hyprepro.gen_hyprl.autoencoder_net import PolicyAutoencoder
    from hyprepro.policies.controllers import Controllers


@component
class Expert(Method):
    """The policy that recorded the prompt: what a perfect generator would reach by copying. Nothing is trained."""

    label: ClassVar[str] = "expert"
    knows: ClassVar[str] = "the test prompt's own source policy"
    conditions: ClassVar[frozenset[Condition]] = frozenset({"prompt"})

    def deploy(self, trained: Any, data: Data, query: Query, seed: int) -> Controllers:
        """The stored policies (`UserError` if one is not stored)."""
        from hyprepro.methods.retrieval import source_policies
        from hyprepro.policies.controllers import PolicyControllers

        return PolicyControllers(*source_policies(data, query.shown))


@component
class AutoencoderCeiling(Method):
    """D(E(X)) of the policy X that recorded the prompt: what a generator that hits the true latent reaches.

    X is a test policy, so E and D have not seen it; a generator can score higher by aiming at latents of training
    policies, which E and D know. Make-An-Agent's evaluation scores the same.
    """

    label: ClassVar[str] = "autoencoder"
    knows: ClassVar[str] = "the test prompt's own source policy"
    conditions: ClassVar[frozenset[Condition]] = frozenset({"prompt"})

    autoencoder: Autoencoder = setting(LinearAutoencoder(), "E and D (eq. 1)")

    def training(self, data: Data, seed: int) -> TrainAutoencoder:
        """The same stage that the generators decode with."""
        return TrainAutoencoder(self.autoencoder, data.policies, data.trajectories)

    def deploy(self, trained: PolicyAutoencoder, data: Data, query: Query, seed: int) -> Controllers:
        """The reconstructed policies (`UserError` if a source policy is not stored)."""
        import torch

        from hyprepro.methods.retrieval import source_policies
        from hyprepro.policies.controllers import PolicyControllers

        layout, params = source_policies(data, query.shown)
        with torch.no_grad():
            return PolicyControllers(layout, trained.decode(trained.encode(torch.from_numpy(params))))
