"""Sentence encoders: text to vectors, from weights that come with the installed package."""

from __future__ import annotations

import hashlib
import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyprepro.errors import UserError
from hyprepro.recipe import Component, component, setting


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
        """See `TextEncoder`."""
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
        """See `TextEncoder`."""
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
