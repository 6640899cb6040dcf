"""HyPoGen (ICLR 2025): policy weights that are written by K steps of a learnt optimisation from common first weights.

HyperZero's successor: the same encoder, data and losses; the heads are replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import Width, component, setting
from hyprepro.methods.hypernetwork import WritingMethod

if TYPE_CHECKING:
    from hyprepro.methods.hypernetwork import Sizes
    from hyprepro.methods.hypogen_net import OptimisedLayers

_HALVINGS = (0.75, 0.9, 0.95)
"""Where in a training the released code halves its step size: after 1,500, 1,800 and 1,900 of 2,000 epochs."""


@component
class HyPoGen(WritingMethod):
    """theta_k = theta_(k-1) + s_k LayerNorm(D(d_k)), for k = 1 to K; theta_0 and the step sizes s_k are learnt.

    An update d_k of a layer's code E(theta_(k-1)) is made as a gradient would be, by networks that stand for the parts
    of the chain rule: a forward pass from a pseudo-input of z through the layers, the derivative of the loss by the
    last output from z, then back layer by layer, the derivatives of an output by its input and by the layer's code.
    E, D and LayerNorm are the same in all K blocks, the rest is each block's own.

    Its paper states a step size of 1e-4 and codes of 256 numbers, its released configuration 5e-4 and 128, as here.
    Released code does, at its last commit: the target network's last layer has the hidden layers' activation before
    tanh, in experiments on ManiSkill where that is tanh as well; the commit before it has none, as here.
    """

    label: ClassVar[str] = "hypogen"
    step_seconds: ClassVar[float] = 0.3

    blocks: int = setting(8, "K, optimisation steps", ge=1, le=64, source="released code")
    layer_code: Width = setting(128, "width of a layer's code", source="released code")
    codec_hidden: Width = setting(256, "hidden width of E and D", source="released code")
    block_hidden: Width = setting(128, "hidden width of a block's networks", source="released code")
    pseudo_width: Width = setting(64, "width of a pseudo-output of a hidden layer", source="released code")
    first_step: float = setting(-0.01, "the step sizes s_k at the start", source="released code")
    halved: bool = setting(
        True,
        "halve the learning rate after 75, 90 and 95% of the steps, whatever `schedule` says besides",
        source="released code",
    )
    steps: int = setting(4_000, "training steps (released: 2,000 passes over the steps)", ge=0)
    learning_rate: float = setting(5e-4, "Adam's step size", gt=0, le=1, source="released code")

    def step_size(self, step: int) -> float:
        halvings = sum(step >= share * self.steps for share in _HALVINGS) if self.halved else 0
        return float(super().step_size(step) * 0.5**halvings)

    def writer(self, sizes: Sizes) -> OptimisedLayers:
        from hyprepro.methods.hypogen_net import OptimisedLayers

        return OptimisedLayers(self, sizes)
