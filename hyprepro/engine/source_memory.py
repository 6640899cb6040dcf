"""What was read from modules' source, remembered from process to process beside the bytecode that Python keeps.

An entry counts for the bytes that it was read from and for nothing else: a module that was edited, in whatever way and
however soon, is read anew. So is everything where the file is damaged, or was written by another version of Python or
of the reader. Where nothing can be written, nothing is remembered.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Read(NamedTuple):
    """What is remembered of a module.

    Attributes:
        digest: SHA-256 of its code, as 64 hexadecimal digits.
        imported: What it imports.
    """

    digest: str
    imported: list[str]


class SourceMemory:
    """The remembered modules.

    Args:
        file: Where they are kept; None: nowhere.
        reader: Tells versions of the reader apart.
    """

    def __init__(self, file: Path | None, reader: str) -> None:
        self._file = file
        self._reader = reader
        self._found: dict[str, tuple[str, Read]] = {}
        self._is_changed = False
        if file is not None:
            with suppress(OSError, ValueError, TypeError, KeyError):
                self._found = self._loaded(file.read_bytes())

    @classmethod
    def beside(cls, reader: Path) -> SourceMemory:
        """The memory of a reader, by its source file: beside its bytecode, by its content and Python's version."""
        try:
            content, bytecode = reader.read_bytes(), importlib.util.cache_from_source(str(reader))
        except (OSError, NotImplementedError):  # no such file, or an interpreter without bytecode
            return cls(None, "")
        return cls(Path(bytecode).with_suffix(".json"), _sha256(content + sys.version.encode()))

    def recall(self, name: str, package: str, content: bytes) -> Read | None:
        """What was read from these very bytes as the module `name` of `package`, which relative imports start from."""
        state, read = self._found.get(name, ("", None))
        return read if state == _state(package, content) else None

    def remember(self, name: str, package: str, content: bytes, read: Read) -> None:
        """What was read; it replaces what the module was before."""
        self._found[name] = _state(package, content), read
        self._is_changed = True

    def keep(self) -> None:
        """Write what is new, all at once; of two processes that do so, one wins."""
        if self._file is None or not self._is_changed or sys.dont_write_bytecode:
            return
        self._is_changed = False
        text = json.dumps([self._reader, self._found])
        partial = self._file.with_suffix(f".{os.getpid()}-{threading.get_ident()}.partial")
        with suppress(OSError):
            try:
                partial.parent.mkdir(exist_ok=True)
                partial.write_text(f"{_sha256(text.encode())}\n{text}", encoding="utf-8")
                partial.replace(self._file)
            finally:
                partial.unlink(missing_ok=True)

    def _loaded(self, data: bytes) -> dict[str, tuple[str, Read]]:
        checksum, _, text = data.partition(b"\n")
        if checksum.decode() != _sha256(text):
            return {}
        reader, found = json.loads(text)
        if reader != self._reader:
            return {}
        return {name: (state, Read(*read)) for name, (state, read) in found.items()}


def _state(package: str, content: bytes) -> str:
    return _sha256(package.encode() + b"\n" + content)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
