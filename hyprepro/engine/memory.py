"""What was found out about files, remembered from process to process beside the bytecode that Python keeps.

An entry counts for one state of its file and for nothing else. All are made again where the memory is damaged, or was
written by another version of Python or of what finds out. Where nothing can be written, nothing is remembered.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

ENTRIES = 1000
"""At most; the oldest go first."""
SETTLED = 60.0
"""Seconds after which what is still in the making was left by a killed process: writing takes milliseconds."""


class Memory:
    """The remembered files.

    Args:
        file: Where they are kept; None: nowhere.
        maker: Tells versions of what finds out apart.
    """

    def __init__(self, file: Path | None, maker: str) -> None:
        self._file = file
        self._maker = maker
        self._found: dict[str, tuple[str, Any]] = {}
        self._is_changed = False
        if file is not None:
            with suppress(OSError, ValueError, TypeError):
                self._found = self._loaded(file.read_bytes())

    @classmethod
    def beside(cls, module: str, maker: str) -> Memory:
        """The memory of a module, by the module's source file: beside its bytecode.

        Args:
            module: The source file's path.
            maker: Tells versions of what finds out apart; those of Python are told apart anyway.
        """
        try:
            bytecode = importlib.util.cache_from_source(module)
        except NotImplementedError:  # an interpreter without bytecode
            return cls(None, "")
        return cls(Path(bytecode).with_suffix(".json"), sha256(f"{sys.version}\n{maker}".encode()))

    def recall(self, name: str, state: str) -> Any:
        """What was found out about a file in this very state, JSON-ready; None if nothing is remembered."""
        known, value = self._found.get(name, ("", None))
        return value if known == state else None

    def remember(self, name: str, state: str, value: Any) -> None:
        """What was found out; it replaces what is known of another state."""
        self._found.pop(name, None)
        self._found[name] = state, value
        while len(self._found) > ENTRIES:
            del self._found[next(iter(self._found))]
        self._is_changed = True

    def keep(self) -> None:
        """Write what is new, all at once; of two processes that do so, one wins."""
        if self._file is None or not self._is_changed or sys.dont_write_bytecode:
            return
        self._is_changed = False
        text = json.dumps([self._maker, self._found])
        partial = self._file.with_suffix(f".{os.getpid()}-{threading.get_ident()}.partial")
        with suppress(OSError):
            for left in partial.parent.glob(f"{self._file.stem}.*.partial"):
                if time.time() - left.stat().st_mtime > SETTLED:
                    left.unlink(missing_ok=True)
            try:
                partial.parent.mkdir(exist_ok=True)
                partial.write_text(f"{sha256(text.encode())}\n{text}", encoding="utf-8")
                partial.replace(self._file)
            finally:
                partial.unlink(missing_ok=True)

    def _loaded(self, data: bytes) -> dict[str, tuple[str, Any]]:
        checksum, _, text = data.partition(b"\n")
        if checksum.decode() != sha256(text):
            return {}
        maker, found = json.loads(text)
        return {name: (state, value) for name, (state, value) in found.items()} if maker == self._maker else {}


def sha256(data: bytes) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
