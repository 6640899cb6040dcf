"""The stage that turns task descriptions into vectors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.artifacts import Report, Stage
from hyprepro.text.encoders import TextEncoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VECTORS = "vectors.json"


@dataclass(frozen=True)
class EmbedDescriptions(Stage):
    """Writes one vector a task.

    Attributes:
        sentences: Tasks and their descriptions.
        encoder: The sentence encoder.
    """

    kind: ClassVar[str] = "descriptions"
    uses_torch: ClassVar[bool] = False

    sentences: tuple[tuple[str, str], ...]
    encoder: TextEncoder

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"{len(self.sentences)} task descriptions"

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Kept vectors are read, others computed (`UserError` if the encoder is not installed)."""
        from hyprepro.text.descriptions import embedded

        vectors = embedded(self.sentences, self.encoder)
        text = json.dumps({task: [round(float(number), 6) for number in vector] for task, vector in vectors.items()})
        (work / VECTORS).write_text(text, encoding="utf-8")

    def load(self, path: Path) -> dict[str, NDArray[np.float32]]:
        """The vectors by task."""
        import numpy as np

        found = json.loads((path / VECTORS).read_text(encoding="utf-8"))
        return {task: np.array(vector, dtype=np.float32) for task, vector in found.items()}
