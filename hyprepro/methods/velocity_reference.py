"""The reference rows of Table 4: ceilings, and what anyone would try before a generator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from hyprepro.component import component, setting
from hyprepro.domains.cheetah_vel.domain import Checkpoints, neighbours, policies_of, training_velocities
from hyprepro.gen_hyprl.autoencoder import Autoencoder, LinearAutoencoder, TrainAutoencoder
from hyprepro.methods.base import Method

if TYPE_CHECKING:
    from hyprepro.domains.base import Condition, Data, Query
    from hyprepro.engine.stage import Stage
    from hyprepro.gen_hyprl.autoencoder_net import PolicyAutoencoder
    from hyprepro.policies.controllers import Controllers


@component
class VelocityExpert(Method):
    """The expert ceiling: the stored policies of the test velocity itself. Nothing is trained."""

    label: ClassVar[str] = "expert"
    knows: ClassVar[str] = "the policies trained at the test velocity"
    conditions: ClassVar[frozenset[Condition]] = frozenset({"parameter"})
    learns: ClassVar[bool] = False

    checkpoints: Checkpoints = setting("all", "all stored checkpoints of a velocity, or the last alone")

    def deploy(self, trained: Any, data: Data, query: Query, seed: int) -> Controllers:
        """The stored policies."""
        from hyprepro.policies.controllers import PolicyControllers

        with data.open_policies() as store:
            return PolicyControllers(store.layout, policies_of(store, query.parameter[0], self.checkpoints))


@component
class VelocityAutoencoderCeiling(Method):
    """D(E(X)) of the expert's policies X: what a generator that hits the true latents reaches."""

    label: ClassVar[str] = "autoencoder"
    knows: ClassVar[str] = "the policies trained at the test velocity"
    conditions: ClassVar[frozenset[Condition]] = frozenset({"parameter"})

    autoencoder: Autoencoder = setting(LinearAutoencoder(), "E and D (eq. 1)")
    checkpoints: Checkpoints = setting("all", "all stored checkpoints of a velocity, or the last alone")

    def training(self, data: Data, seed: int) -> Stage:
        """The same stage that the generators decode with."""
        return TrainAutoencoder(self.autoencoder, data.policies, data.trajectories)

    def deploy(self, trained: PolicyAutoencoder, data: Data, query: Query, seed: int) -> Controllers:
        """The reconstructed policies."""
        import torch

        from hyprepro.policies.controllers import PolicyControllers

        with data.open_policies() as store, torch.no_grad():
            params = torch.from_numpy(policies_of(store, query.parameter[0], self.checkpoints))
            return PolicyControllers(store.layout, trained.decode(trained.encode(params)))


@component
class NearestVelocity(Method):
    """Retrieval: the stored policies of the nearest training velocity; of two equally near ones the slower."""

    label: ClassVar[str] = "nearest-velocity"
    knows: ClassVar[str] = "the velocity; at test time every stored training policy"
    conditions: ClassVar[frozenset[Condition]] = frozenset({"parameter"})

    checkpoints: Checkpoints = setting("last", "the last stored checkpoint of that velocity, or all of them in turn")

    def deploy(self, trained: Any, data: Data, query: Query, seed: int) -> Controllers:
        """The policies as they are stored."""
        from hyprepro.policies.controllers import PolicyControllers

        (target,) = query.parameter
        nearest = min(training_velocities(data), key=lambda velocity: (round(abs(velocity - target), 6), velocity))
        with data.open_policies() as store:
            return PolicyControllers(store.layout, policies_of(store, nearest, self.checkpoints))


@component
class VelocityInterpolation(Method):
    """Between the two neighbouring training velocities: their policies mixed in proportion, without a generator."""

    label: ClassVar[str] = "interpolation"
    knows: ClassVar[str] = "the velocity; at test time every stored training policy"
    conditions: ClassVar[frozenset[Condition]] = frozenset({"parameter"})

    autoencoder: Autoencoder = setting(LinearAutoencoder(), "E and D (eq. 1)")
    space: Literal["latents", "weights"] = setting("latents", "what is mixed: latents, or the weights themselves")
    checkpoints: Checkpoints = setting("last", "the last stored checkpoint of both, or all of them pair by pair")

    def training(self, data: Data, seed: int) -> Stage | None:
        """The same stage that the generators decode with; weights are mixed without any."""
        if self.space == "weights":
            return None
        return TrainAutoencoder(self.autoencoder, data.policies, data.trajectories)

    def deploy(self, trained: PolicyAutoencoder | None, data: Data, query: Query, seed: int) -> Controllers:
        """The mixed policies; with several checkpoints those of equal age from the last one back."""
        import torch

        from hyprepro.policies.controllers import PolicyControllers

        low, high, share = neighbours(training_velocities(data), query.parameter[0])
        with data.open_policies() as store, torch.no_grad():
            pair = [policies_of(store, velocity, self.checkpoints) for velocity in (low, high)]
            count = min(map(len, pair))
            slower, faster = (torch.from_numpy(np.ascontiguousarray(each[-count:])) for each in pair)
            if trained is None:
                return PolicyControllers(store.layout, torch.lerp(slower, faster, share))
            mixed = torch.lerp(trained.encode(slower), trained.encode(faster), share)
            return PolicyControllers(store.layout, trained.decode(mixed))


@component
class VelocityParent(Method):
    """The velocity-conditioned policy that the experts grew from, its input folded at the test velocity.

    It was trained by reinforcement learning on all training velocities, in the environment.
    """

    label: ClassVar[str] = "velocity-parent"
    knows: ClassVar[str] = "the velocity; trained in the environment on all training velocities"
    conditions: ClassVar[frozenset[Condition]] = frozenset({"parameter"})
    learns: ClassVar[bool] = False

    def require(self, data: Data) -> None:
        """The parents' store must be bound."""
        super().require(data)
        data.open_parents().close()

    def deploy(self, trained: Any, data: Data, query: Query, seed: int) -> Controllers:
        """The folded policy (`UserError` if the parents' store is not bound)."""
        from hyprepro.policies.controllers import PolicyControllers

        with data.open_parents() as store:
            return PolicyControllers(store.layout, policies_of(store, query.parameter[0]))
