"""The tasks' descriptions and their vectors, which are kept beside them for whoever has no encoder installed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from hyprepro.errors import UserError, closest_match
from hyprepro.recipe import Component, component, setting
from hyprepro.text.encoders import TextEncoder, WordLlamaEncoder

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
            found = yaml.safe_load(path.read_text(encoding="utf-8"))
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


def require(vectors: dict[str, NDArray[np.float32]], task: str) -> NDArray[np.float32]:
    """The vector of a task.

    Raises:
        UserError: The task has no description.
    """
    if task not in vectors:
        raise UserError(
            f"The task {task!r} has no description.",
            closest=closest_match(task, list(vectors)),
            fix="add a sentence about it to a YAML file and bind TaskDescriptions.file to its path",
        )
    return vectors[task]
