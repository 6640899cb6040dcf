"""The expert ceiling: each test prompt's own source policy, as it is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from hyprepro.methods.base import Method
from hyprepro.recipe import component

if TYPE_CHECKING:
    from hyprepro.evaluation.controllers import Controllers
    from hyprepro.stores.files import StoreFiles
    from hyprepro.stores.prompts import Prompts


@component
class Expert(Method):
    """The policy that recorded the prompt: what a perfect generator would reach by copying. Nothing is trained."""

    label: ClassVar[str] = "expert"
    knows: ClassVar[str] = "the test prompt's own source policy"

    def deploy(self, trained: Any, data: StoreFiles, prompts: Prompts, seed: int) -> Controllers:
        """The stored policies (`UserError` if one is not stored)."""
        from hyprepro.evaluation.controllers import PolicyControllers
        from hyprepro.methods.stored import source_policies

        return PolicyControllers(*source_policies(data, prompts))
