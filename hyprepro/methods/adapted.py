"""Methods that yield policy weights, and may fit them to the prompt before they are deployed."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from hyprepro.methods.base import Method
from hyprepro.models.adaptation import Adaptation
from hyprepro.recipe import setting

if TYPE_CHECKING:
    from hyprepro.evaluation.controllers import Controllers
    from hyprepro.models.adaptation import Start
    from hyprepro.stores.files import StoreFiles
    from hyprepro.stores.prompts import Prompts


class WeightMethod(Method):
    """A method that generates one policy a prompt."""

    adaptation: Adaptation | None = setting(None, "what fits the generated policy to the prompt; None: nothing")

    @property
    def information(self) -> str:
        """`knows`, and whether policies are fitted to the prompt."""
        if self.adaptation is None:
            return self.knows
        return (
            f"{self.knows}; its policies are then fitted to the prompt's own actions ({type(self.adaptation).__name__})"
        )

    @abstractmethod
    def generate(self, trained: Any, data: StoreFiles, prompts: Prompts, seed: int) -> Start:
        """One policy for each prompt, in the order of the prompts; arguments and errors as for `deploy`."""

    def deploy(self, trained: Any, data: StoreFiles, prompts: Prompts, seed: int) -> Controllers:
        """The generated policies, adapted to their prompts if that is bound."""
        import torch

        from hyprepro.evaluation.controllers import PolicyControllers

        start = self.generate(trained, data, prompts, seed)
        if self.adaptation is None:
            return PolicyControllers(start.layout, start.params)
        draws = torch.Generator().manual_seed(draw_seed(seed, prompts.task, "adaptation"))
        return PolicyControllers(start.layout, self.adaptation.adapt(start, prompts, draws))


def draw_seed(seed: int, *parts: str) -> int:
    """The seed of some draws at deployment: the same for all methods, another for each task and use."""
    text = "/".join((str(seed), *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
