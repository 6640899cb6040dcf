"""MACAW (Mitchell et al. 2021): offline meta-reinforcement learning with advantage weighting.

Sources: "Offline Meta-Reinforcement Learning with Advantage Weighting" and its released code (eric-mitchell/macaw),
whose Cheetah-Vel settings the defaults are, unless a field says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyprepro.recipe import Component, Width, component, setting

if TYPE_CHECKING:
    import torch
    from torch import nn

    from hyprepro.models.networks.macaw import Actor, TransformedMLP

SOURCE = "MACAW's released code"


@component
class AdvantageWeighting(Component):
    """MACAW's actor and value function, and how they are meta-trained.

    A meta-step takes `tasks` training velocities. For each, the value function takes one gradient step (inner loop)
    towards the Monte-Carlo returns of a batch, and the actor one towards the batch's actions, weighted by
    exp(advantage), plus the squared error of its advantage head; both with a learned step size for every tensor. The
    loss of the stepped networks on a second batch of the same velocity (outer loop) trains what they were before.

    Paper says: 5 velocities and two batches of 256 transitions a meta-step. We chose: `return_scale`, by which returns
    are divided, and larger outer step sizes with fewer meta-steps at desktop scale; bootstrapping by the stepped value
    function itself, where the released code uses a mean of it and the one before; the advantage head sees the action
    as it is, where the released code cuts its negative part off.
    """

    slot = "meta_learner"

    hidden: tuple[Width, ...] = setting((100, 100, 100), "hidden widths", source=SOURCE, min_length=1)
    code: Width = setting(100, "size of the code that a layer's weights are a linear map of", source=SOURCE)
    head: Width = setting(32, "hidden width of the advantage head", source=SOURCE)
    steps: int = setting(50000, "meta-steps", source="MACAW's released code (the archives that it fine-tunes)", ge=0)
    tasks: int = setting(5, "training velocities of a meta-step", source=SOURCE, ge=1)
    batch_size: int = setting(256, "transitions of the inner batch, and of the outer one", source=SOURCE, ge=2)
    skip: int = setting(7, "every so many-th transition of a buffer is kept", source=SOURCE, ge=1)
    contiguous: bool = setting(True, "inner batches in training are successive transitions of a buffer", source=SOURCE)
    discount: float = setting(0.99, "discount of the returns", source=SOURCE, gt=0, le=1)
    bootstrap: bool = setting(
        True, "outer targets and advantages go on with the value at an episode's end", source=SOURCE
    )
    return_scale: float = setting(1.0, "returns are divided by this", source=SOURCE, gt=0)
    actor_rate: float = setting(1e-4, "Adam's step size for the actor in the outer loop", source=SOURCE, gt=0)
    value_rate: float = setting(1e-5, "Adam's step size for the value function in the outer loop", source=SOURCE, gt=0)
    inner_rate: float = setting(
        1e-3, "first step size of the inner loop, learned for every tensor", source=SOURCE, gt=0
    )
    rate_rate: float = setting(1e-3, "Adam's step size for the inner step sizes", source=SOURCE, ge=0)
    temperature: float = setting(1.0, "of the advantage weights", source=SOURCE, gt=0)
    largest_weight: float = setting(20.0, "largest advantage weight", source=SOURCE, gt=1)
    deviation: float = setting(0.2, "the actor's standard deviation", source=SOURCE, gt=0)
    head_weight: float = setting(0.01, "first weight of the advantage head's error, learned", source=SOURCE, gt=0)

    def build(self, state_size: int, action_size: int) -> tuple[Actor, TransformedMLP]:
        """An untrained actor and value function."""
        from hyprepro.models.networks.macaw import Actor, TransformedMLP

        actor = Actor(state_size, action_size, self.hidden, self.head, self.code, self.inner_rate, self.head_weight)
        return actor, TransformedMLP((state_size, *self.hidden, 1), self.code, self.inner_rate)

    def optimisers(self, actor: Actor, value: TransformedMLP) -> dict[str, torch.optim.Optimizer]:
        """The Adams of the outer loop."""
        import torch

        def adam(parameters: list[nn.Parameter], rate: float) -> torch.optim.Optimizer:
            return torch.optim.Adam(parameters, lr=rate, fused=True)

        return {
            "actor": adam(actor.initial(), self.actor_rate),
            "value": adam(value.initial(), self.value_rate),
            "rates": adam([*actor.learned_rates(), *value.learned_rates()], self.rate_rate),
        }
