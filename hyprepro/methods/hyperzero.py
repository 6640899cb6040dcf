"""HyperZero (Rezaei-Shoshtari et al., AAAI 2023): one network writes the policy and the value of a task's numbers.

Paper says: zero-shot transfer to tasks of other rewards and dynamics, from near-optimal trajectories of training tasks.
The Gen-HypRL paper cites it as its next of kin and has no row of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import component, setting
from hyprepro.methods.hypernetwork import WritingMethod

if TYPE_CHECKING:
    from hyprepro.methods.hypernetwork import Sizes
    from hyprepro.methods.hyperzero_net import Heads


@component
class HyperZero(WritingMethod):
    """A residual encoder of the condition, then a linear head a layer that writes its weights.

    z = encoder(c) and W_i = reshape(A_i z + b_i). The heads' weights begin uniform within `spread` for hidden layers
    and `last_spread` for the last one, their biases at zero, so that a policy begins near a = 0.

    HyPoGen's tables compare with a copy that leaves the heads' first weights to torch, and trains it for 2,000 passes
    over the steps of a fifth of the contexts with HyPoGen's halvings of the learning rate.
    """

    label: ClassVar[str] = "hyperzero"
    step_seconds: ClassVar[float] = 0.02

    spread: float = setting(0.05, "bound of the first weights of a hidden layer's head", gt=0, source="released code")
    last_spread: float = setting(0.008, "the same of the last layer's", gt=0, source="released code")
    steps: int = setting(
        27_500,
        "training steps (500 passes over all 28,000 stored steps of 35 bundled experts)",
        ge=0,
        source="released code",
    )
    learning_rate: float = setting(1e-4, "Adam's step size", gt=0, le=1, source="released code")

    def writer(self, sizes: Sizes) -> Heads:
        from hyprepro.methods.hyperzero_net import Heads

        return Heads(self.code, sizes, self.spread, self.last_spread)
