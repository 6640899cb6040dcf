"""What every collection can do: name the stages that make it, and write the stores from their artifacts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from hyprepro.component import Component
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import Stage

Weights = Literal["float16", "float32"]
"""How stored weights are kept."""


class Estimate(NamedTuple):
    """What a collection needs.

    Attributes:
        seconds: Of each stage on one core, by its key.
        working: Bytes of the cache; None if not known.
        stored: Bytes of the stores; None if not known.
        held: Bytes on the disk that each stage, by its key, takes beside its result while it is being made, at most.
        memory: Bytes of memory of the process that makes each stage, at most.
        mapped: How many of these are files mapped into memory, which the system takes back when it needs room.
    """

    seconds: dict[str, float]
    working: int | None = None
    stored: int | None = None
    held: Mapping[str, int] = {}
    memory: Mapping[str, int] = {}
    mapped: Mapping[str, int] = {}


class Collection(Component, ABC):
    """A zoo of experts and the episodes recorded of them; one kind for each family of tasks."""

    slot: ClassVar[str] = "collection"

    @abstractmethod
    def stages(self) -> Sequence[Stage]:
        """The last stages; everything else hangs on these."""

    @abstractmethod
    def write(self, cache: ArtifactCache, folder: Path, name: str) -> list[Path]:
        """Write the stores and the data card NAME.* into `folder` from finished artifacts, each whole or not at all."""

    def estimate(self, todo: Sequence[Stage]) -> Estimate:
        """What the stages still to be done will take: their stated costs, or better what a short measurement says."""
        return Estimate({stage.key: stage.cost for stage in todo})
