"""The tasks' descriptions, the sentence encoders that turn them into vectors, and the stage that does so.

Vectors are kept beside the descriptions for whoever has no encoder installed.

`python -m hyprepro.methods.multitask.text` computes the kept vectors of the bundled descriptions anew.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import yaml
from numpy.typing import NDArray

from hyprepro.component import Component, component, setting
from hyprepro.engine.stage import Report, Stage
from hyprepro.errors import UserError, refuse_unknown

T = TypeVar("T")


class TextEncoder(Component, ABC):
    """Slot of the sentence encoder."""

    slot = "text_encoder"

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors `[n, E]`, rounded to six decimals so that they can be kept as text.

        Raises:
            UserError: The encoder is not installed.
        """

    @abstractmethod
    def provenance(self) -> dict[str, Any]:
        """Package, version and digest of the weights that `embed` uses; same errors."""


@component
class WordLlamaEncoder(TextEncoder):
    """WordLlama: token vectors taken from Llama 2 and trained as a sentence embedding, 256 numbers, averaged.

    CARE used RoBERTa's sentence embeddings, which are downloaded; WordLlama's weights (16 MB) lie in its package.
    """

    config: str = setting("l2_supercat", "which of WordLlama's models; the others are not in its package")
    size: int = setting(256, "length of the vectors (E)", ge=64, le=256)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        package = _wordllama()
        try:
            # 0.4.0 looks for its bundled tokenizer under another name than it ships it, unless told where.
            model = package.WordLlama.load(
                config=self.config, dim=self.size, cache_dir=_folder(package), disable_download=True
            )
        except (FileNotFoundError, ValueError, AttributeError) as error:
            raise UserError(
                "WordLlama's package does not hold this model.",
                where=str(error),
                fix="bind WordLlamaEncoder.config='l2_supercat' and WordLlamaEncoder.size=256",
            ) from None
        vectors: NDArray[np.float32] = np.asarray(model.embed(list(texts), norm=True), dtype=np.float32)
        return vectors.round(6)

    def provenance(self) -> dict[str, Any]:
        weights = _folder(_wordllama()) / "weights" / f"{self.config}_{self.size}.safetensors"
        return {
            "package": "wordllama",
            "version": importlib.metadata.version("wordllama"),
            "weights": weights.name,
            "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        }


def _wordllama() -> Any:
    try:
        import wordllama
    except ImportError:
        raise UserError(
            "The sentence encoder WordLlama is not installed; other descriptions than the bundled ones need it.",
            fix="pip install 'hyprepro[text]' -c constraints.txt",
        ) from None
    return wordllama


def _folder(package: Any) -> Path:
    return Path(package.__file__).parent


BUNDLED = Path(__file__).with_name("metaworld.yaml")
KEPT = Path(__file__).with_name("metaworld.embeddings.json")


@component
class TaskDescriptions(Component):
    """One sentence a task, and what turns it into a vector."""

    slot = "descriptions"

    file: str = setting("", "a YAML file of sentences by task; empty: the bundled one for the eighteen tasks")
    encoder: TextEncoder = setting(WordLlamaEncoder(), "the sentence encoder", source="ours (CARE: RoBERTa)")

    def sentences(self) -> tuple[tuple[str, str], ...]:
        """Tasks and their descriptions, by name.

        Raises:
            UserError: The file is missing or is not a map of names to sentences.
        """
        path = Path(self.file) if self.file else BUNDLED
        try:
            found = _parsed(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UserError(
                "The task descriptions cannot be read.",
                where=f"{path}: {error}",
                fix="name a file as TaskDescriptions.file describes it: hyprepro explain TaskDescriptions",
            ) from None
        fine = isinstance(found, dict) and all(
            isinstance(task, str) and isinstance(text, str) and text.strip() for task, text in found.items()
        )
        if not fine or not found:
            raise UserError(
                "Task descriptions must map each task's name to a sentence.",
                where=str(path),
                fix="door-open: Pull a door open by its handle.",
            )
        return tuple(sorted((task, " ".join(text.split())) for task, text in found.items()))


@lru_cache(maxsize=8)
def _parsed(text: str) -> Any:
    """A plan asks for the sentences once a task and seed."""
    return yaml.safe_load(text)


def embedded(sentences: Sequence[tuple[str, str]], encoder: TextEncoder) -> dict[str, NDArray[np.float32]]:
    """The vector of each task's description; kept ones are read, others are computed.

    Raises:
        UserError: An encoder that is needed is not installed.
    """
    kept = kept_vectors(encoder)
    missing = [text for _, text in sentences if text not in kept]
    if missing:
        kept |= dict(zip(missing, encoder.embed(missing), strict=True))
    return {task: kept[text] for task, text in sentences}


def kept_vectors(encoder: TextEncoder) -> dict[str, NDArray[np.float32]]:
    """The vectors that are kept of an encoder, by sentence; none for an encoder with other settings."""
    kept: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    if kept.get("encoder") != encoder.described():
        return {}
    return {each["text"]: np.array(each["vector"], dtype=np.float32) for each in kept["descriptions"].values()}


def keep(descriptions: TaskDescriptions) -> None:
    """Compute the vectors of the bundled descriptions and write them, with their provenance, beside these."""
    sentences, encoder = descriptions.sentences(), descriptions.encoder
    vectors = encoder.embed([text for _, text in sentences])
    rows = {
        task: {"text": text, "vector": [round(float(number), 6) for number in vector]}
        for (task, text), vector in zip(sentences, vectors, strict=True)
    }
    lines = [f'  "{task}": {json.dumps(row)}' for task, row in rows.items()]
    head = [f' "{name}": {json.dumps(value)},' for name, value in _head(encoder).items()]
    KEPT.write_text("\n".join(["{", *head, ' "descriptions": {', ",\n".join(lines), " }", "}", ""]), encoding="utf-8")


def _head(encoder: TextEncoder) -> dict[str, Any]:
    return {"encoder": encoder.described(), "provenance": encoder.provenance()}


def require(told: Mapping[str, T], task: str) -> T:
    """The vector of a task, or its sentence.

    Raises:
        UserError: The task has no description.
    """
    fix = "add a sentence about it to a YAML file and bind TaskDescriptions.file to its path"
    refuse_unknown(task, told, f"The task {task!r} has no description.", fix=fix)
    return told[task]


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
        vectors = embedded(self.sentences, self.encoder)
        text = json.dumps({task: [round(float(number), 6) for number in vector] for task, vector in vectors.items()})
        (work / VECTORS).write_text(text, encoding="utf-8")

    def load(self, path: Path) -> dict[str, NDArray[np.float32]]:
        """The vectors by task."""
        import numpy as np

        found = json.loads((path / VECTORS).read_text(encoding="utf-8"))
        return {task: np.array(vector, dtype=np.float32) for task, vector in found.items()}


if __name__ == "__main__":
    keep(TaskDescriptions())
