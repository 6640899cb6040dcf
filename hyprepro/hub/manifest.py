"""What a published repository says of its files, `hyprepro.json`: names, sizes, SHA-256, and the digest that pins it.

The Hub's client checks no content that it brings, and a repository may be anybody's. So nothing is taken from one but
what this file names, and that only as it says; the digest of this file, which `push` prints, pins all of it at once.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from hyprepro.errors import UserError
from hyprepro.stores.bundled import Pinned

FILE = "hyprepro.json"
SCHEMA = 1
STORE, RESULT, GENERATOR = "store", "result", "generator"
KINDS = (STORE, RESULT, GENERATOR)
SUFFIXES = (".h5", ".safetensors", ".json", ".jsonl", ".md", ".gin", ".csv", ".csv.gz", ".svg", ".png")
"""What is sent and taken: numbers as HDF5 and safetensors, and text. Nothing that a reader would have to unpickle."""
MOST_FILES = 10_000
LARGEST = 2**20
"""Bytes of a `hyprepro.json`; a file takes about 150."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=-]*")


@dataclass(frozen=True)
class Manifest:
    """What a repository holds.

    Attributes:
        kind: "store", "result" or "generator".
        name: What it is called.
        licence: Its identifier, as the Hub has it: "mit".
        files: By their path in the repository.
    """

    kind: str
    name: str
    licence: str
    files: Mapping[str, Pinned]

    @property
    def content(self) -> bytes:
        """The file: equal manifests give equal bytes."""
        files = {name: {"sha256": entry.sha256, "bytes": entry.size} for name, entry in sorted(self.files.items())}
        head = {"schema": SCHEMA, "kind": self.kind, "name": self.name, "licence": self.licence}
        return (json.dumps({**head, "files": files}, indent=1) + "\n").encode()

    @property
    def digest(self) -> str:
        """SHA-256 of the file, and so of all that it names."""
        return hashlib.sha256(self.content).hexdigest()


def read_manifest(content: bytes, where: str) -> Manifest:
    """The manifest of a repository that may be anybody's.

    Raises:
        UserError: It is of another schema, or damaged, or names what must not be written.
    """
    try:
        data = json.loads(content) if len(content) <= LARGEST else None
    except (ValueError, RecursionError):
        data = None
    schema = data.get("schema") if isinstance(data, dict) else None
    if isinstance(data, dict) and (schema != SCHEMA or isinstance(schema, bool)):
        raise UserError(
            f"The repository is of another schema: {str(schema)[:40]}, this version reads {SCHEMA}.",
            where=where,
            fix="pip install --upgrade hyprepro, or ask for a revision that an earlier version published",
        )
    found = _problem(data)
    if found:
        raise UserError(
            f"The repository does not say soundly what it holds: {found}.",
            where=where,
            fix="ask its owner to publish it again: hyprepro push",
        )
    assert isinstance(data, dict)
    files = {name: Pinned(entry["sha256"], entry["bytes"]) for name, entry in data["files"].items()}
    return Manifest(data["kind"], data["name"], data["licence"], files)


def problem_of_name(name: str) -> str:
    """Why a file of this name is neither sent nor taken; empty if it may be."""
    if not all(_PART.fullmatch(part) for part in name.split("/")) or str(PurePosixPath(name)) != name:
        return f"{name[:80]!r} is no plain path"
    if not name.endswith(SUFFIXES):
        return f"{name[:80]!r} is none of {', '.join(SUFFIXES)}"
    return ""


def _problem(data: Any) -> str:
    """What is wrong with a manifest's form; empty if nothing is."""
    if not isinstance(data, dict):
        return "it is no JSON object of a sane size"
    if data.get("kind") not in KINDS:
        return f"its kind is {str(data.get('kind'))[:40]!r}, none of {', '.join(KINDS)}"
    if not all(isinstance(data.get(name), str) for name in ("name", "licence")):
        return "it has no name or no licence"
    files = data.get("files")
    if not isinstance(files, dict) or not 0 < len(files) <= MOST_FILES:
        return "it names no files, or too many"
    return next(filter(None, (_problem_of_file(name, entry) for name, entry in files.items())), "")


def _problem_of_file(name: str, entry: Any) -> str:
    found = problem_of_name(name)
    if found or name == FILE:
        return found or f"{FILE} names itself"
    digest, size = (entry.get("sha256"), entry.get("bytes")) if isinstance(entry, dict) else (None, None)
    is_sound = isinstance(digest, str) and _SHA256.fullmatch(digest) and type(size) is int and size >= 0
    return "" if is_sound else f"{name} has no digest or no size"
