"""What a method is: anything that can be trained from the stores and, given prompts, yields deployable controllers.

A table is methods x tasks x protocols, and Gen-HypRL is the first among equals: it, its ceilings and its competitors
all derive from `Method`. A new competitor is one file here, one gin file and one line in a recipe.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from hyprepro.methods.row import TableRow

if TYPE_CHECKING:
    from hyprepro.artifacts import Stage
    from hyprepro.evaluation.controllers import Controllers
    from hyprepro.stores.files import StoreFiles
    from hyprepro.stores.prompts import Prompts


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
