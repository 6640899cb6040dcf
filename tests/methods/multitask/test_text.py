"""Descriptions and their vectors: all tasks have one, the kept vectors are the encoder's, mistakes are told."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyprepro.domains.metaworld.tasks import SEEN_TASKS, UNSEEN_TASKS
from hyprepro.errors import UserError
from hyprepro.methods.multitask.text import TaskDescriptions, WordLlamaEncoder, embedded, kept_vectors, require

BUNDLED = TaskDescriptions()


def test_every_task_has_a_description_and_a_kept_vector() -> None:
    vectors = embedded(BUNDLED.sentences(), BUNDLED.encoder)
    assert set(vectors) == {*SEEN_TASKS, *UNSEEN_TASKS}
    assert {text for _, text in BUNDLED.sentences()} == set(kept_vectors(BUNDLED.encoder))
    stacked = np.stack(list(vectors.values()))
    assert stacked.shape == (18, 256)
    np.testing.assert_allclose(np.linalg.norm(stacked, axis=1), 1.0, atol=1e-3)


@pytest.mark.parametrize(
    ("unseen", "seen"), [("faucet-open", "faucet-close"), ("window-close", "window-open"), ("reach-wall", "reach")]
)
def test_an_unseen_task_is_nearest_to_its_sibling(unseen: str, seen: str) -> None:
    vectors = embedded(BUNDLED.sentences(), BUNDLED.encoder)
    assert max(SEEN_TASKS, key=lambda task: float(vectors[unseen] @ vectors[task])) == seen


def test_the_kept_vectors_are_the_encoders_own() -> None:
    pytest.importorskip("wordllama")
    texts = [text for _, text in BUNDLED.sentences()]
    kept = kept_vectors(BUNDLED.encoder)
    np.testing.assert_allclose(BUNDLED.encoder.embed(texts), np.stack([kept[text] for text in texts]), atol=1e-5)


def test_a_task_without_a_description_is_named() -> None:
    vectors = embedded(BUNDLED.sentences(), BUNDLED.encoder)
    with pytest.raises(UserError, match="'door-opens' has no description") as caught:
        require(vectors, "door-opens")
    assert caught.value.closest == "door-open"
    assert "TaskDescriptions.file" in caught.value.fix


def test_other_words_need_the_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "wordllama":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    assert embedded(BUNDLED.sentences(), BUNDLED.encoder), "the bundled ones need none"
    with pytest.raises(UserError, match="WordLlama is not installed") as caught:
        embedded([("reach", "Go there.")], BUNDLED.encoder)
    assert "hyprepro[text]" in caught.value.fix
    with pytest.raises(UserError, match="not installed"):
        embedded(BUNDLED.sentences(), WordLlamaEncoder(size=128))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_file_of_ones_own(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("reach: Go\n  there.\ndoor-open: Open it.\n", encoding=encoding)
    assert TaskDescriptions(file=str(path)).sentences() == (("door-open", "Open it."), ("reach", "Go there."))


@pytest.mark.parametrize("text", ["- reach\n", "reach: 3\n", "reach: ''\n", "", "a: [\n"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"descriptions") as caught:
        TaskDescriptions(file=str(path)).sentences()
    assert str(path) in caught.value.where


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        TaskDescriptions(file=str(tmp_path / "none.yaml")).sentences()
