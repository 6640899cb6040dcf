"""One policy for all tasks of a domain, tested ones too: what a table's numbers owe to being told the task at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import component
from hyprepro.methods.ceilings import DomainRandomisation

if TYPE_CHECKING:
    from collections.abc import Collection

    from hyprepro.domains.base import Data


@component
class OneForAll(DomainRandomisation):
    """`DomainRandomisation` where the stores are of all tasks, so that its one policy has practised the tested ones.

    It has seen more than any row beside it and is told less: where it is as good as they are, the table tests nothing.
    """

    label: ClassVar[str] = "one-for-all"
    knows: ClassVar[str] = "nothing of the task; trained in the environment on all of them, those tested too"
    practises: ClassVar[str] = "all tasks of the stores, those tested too"

    def practised(self, data: Data) -> Collection[str]:
        """All tasks that there are policies of."""
        with data.open_policies() as store:
            return store.tasks
