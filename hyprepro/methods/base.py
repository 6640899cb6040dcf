"""What a row of any table is, whatever its method is trained on and deployed for.

What a method is: anything that can be trained from the stores and, given prompts, yields deployable controllers.

A table is methods x tasks x protocols, and Gen-HypRL is the first among equals: it, its ceilings and its competitors
all derive from `Method`. A new competitor is one file here, one gin file and one line in a recipe.

Methods that yield policy weights, and may fit them to the prompt before they are deployed.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from hyprepro.component import Component, setting
from hyprepro.gen_hyprl.adaptation import Adaptation

if TYPE_CHECKING:
    from hyprepro.engine.stage import Stage
    from hyprepro.gen_hyprl.adaptation import Start
    from hyprepro.policies.controllers import Controllers
    from hyprepro.stores.files import StoreFiles
    from hyprepro.stores.prompts import Prompts


class TableRow(Component, ABC):
    """A method as a row of a table.

    Subclasses declare:
        label: The method's name, for example "gen-hyprl".
        seeded: Whether the method is trained and evaluated once per generator seed (True) or once (False, seed 0).
        knows: The information that the method is given at test time, for the reader of the table, for example "prompt".
    """

    label: ClassVar[str] = ""
    seeded: ClassVar[bool] = False
    knows: ClassVar[str] = ""

    row: str = setting("", "the row's name where a recipe has a method more than once; empty: the method's own name")

    @property
    def name(self) -> str:
        """The row's name in records and tables."""
        return self.row or self.label

    @property
    def information(self) -> str:
        """What the method is given at test time with its settings, for the reader of the table."""
        return self.knows


class Method(TableRow):
    """A row of a table of Meta-World: how it is trained and how it is deployed."""

    slot: ClassVar[str] = "method"

    def training(self, data: StoreFiles, seed: int) -> Stage | None:
        """The last training stage (its inputs hang on it), or None when there is nothing to train.

        Args:
            data: The policy and trajectory stores. Training reads their "train" and "validation" splits only.
            seed: The generator seed. Methods with `seeded = False` ignore it, so that all seeds share one artefact.
        """
        return None

    @abstractmethod
    def deploy(self, trained: Any, data: StoreFiles, prompts: Prompts, seed: int) -> Controllers:
        """One controller for each prompt, in the order of the prompts.

        Args:
            trained: What the training stage's `load` returned; None when `training` returned None.
            data: The same stores as in training.
            prompts: Test prompts of one task.
            seed: The generator seed; every random draw at deployment derives from it.

        Raises:
            UserError: If the stores lack what the method needs for this task.
        """


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

        from hyprepro.policies.controllers import PolicyControllers

        start = self.generate(trained, data, prompts, seed)
        if self.adaptation is None:
            return PolicyControllers(start.layout, start.params)
        draws = torch.Generator().manual_seed(draw_seed(seed, prompts.task, "adaptation"))
        return PolicyControllers(start.layout, self.adaptation.adapt(start, prompts, draws))


def draw_seed(seed: int, *parts: str) -> int:
    """The seed of some draws at deployment: the same for all methods, another for each task and use."""
    text = "/".join((str(seed), *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
