"""The pictures and films that lie beside a result, as data of the page itself.

A file counts by what it holds, not by its name. What a stranger may have put there stays out: a file that is no
picture, one that is too large for a page, a drawing with scripts or with parts that would be loaded from elsewhere.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

LARGEST = 8_000_000
"""Bytes of one file; a page is to be sent and opened on a phone."""

IMAGES = {
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
}
"""Kinds of pictures: of several with one name the first is shown."""
FILMS = {".mp4": "video/mp4", ".webm": "video/webm"}

_BEGINS: Mapping[str, Callable[[bytes], bool]] = {
    ".png": lambda data: data.startswith(b"\x89PNG\r\n\x1a\n"),
    ".gif": lambda data: data.startswith((b"GIF87a", b"GIF89a")),
    ".jpg": lambda data: data.startswith(b"\xff\xd8\xff"),
    ".jpeg": lambda data: data.startswith(b"\xff\xd8\xff"),
    ".webp": lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP",
    ".svg": lambda data: b"<svg" in data[:4096],
    ".mp4": lambda data: data[4:8] == b"ftyp",
    ".webm": lambda data: data.startswith(b"\x1aE\xdf\xa3"),
}
_ACTIVE = re.compile(
    rb"<script|<foreignObject|<!ENTITY|@import|\son\w+\s*=|\b(href|src)\s*=\s*[\"'](?!#|data:image/)|url\((?![\"']?#)",
    re.IGNORECASE,
)
"""What a drawing does not need: scripts, and parts from elsewhere. A browser would run neither inside <img>."""


@dataclass(frozen=True)
class Medium:
    """A picture or a film.

    Attributes:
        name: The file's name.
        uri: Its content as a data URI.
        is_film: Whether it is a film.
        poster: Of a film: the still that is shown before it plays, as a data URI; empty for none.
    """

    name: str
    uri: str
    is_film: bool = False
    poster: str = ""

    @property
    def title(self) -> str:
        """Its name in words: `performance_profiles.svg` is "Performance profiles"."""
        words = re.sub(r"[_-]+", " ", Path(self.name).stem)
        return words[:1].upper() + words[1:]

    @property
    def is_drawing(self) -> bool:
        """Whether it is drawn by lines, which are legible at any size."""
        return self.name.lower().endswith(".svg")


@dataclass(frozen=True)
class Media:
    """What lies beside a result.

    Attributes:
        shown: What the page shows, films last.
        left_out: `NAME (why)` of each file that it does not.
    """

    shown: tuple[Medium, ...]
    left_out: tuple[str, ...]


def media(folder: Path) -> Media:
    """Read the pictures and films of a folder; of one name a film goes before a picture, which becomes its still."""
    found: dict[str, dict[str, str]] = {}
    left_out = []
    for path in sorted(folder.iterdir()):
        suffix = path.suffix.lower()
        if suffix not in _BEGINS or path.name.startswith(".") or not path.is_file():
            continue
        problem, data = _read(path, suffix)
        if problem:
            left_out.append(f"{path.name} ({problem})")
        else:
            kind = {**IMAGES, **FILMS}[suffix]
            uri = f"data:{kind};base64,{base64.b64encode(data).decode()}"
            found.setdefault(path.stem, {})[path.name] = uri
    shown = [_chosen(files) for files in found.values()]
    return Media(tuple(sorted(shown, key=lambda medium: medium.is_film)), tuple(left_out))


def _read(path: Path, suffix: str) -> tuple[str, bytes]:
    """Why a file is not shown, empty if nothing is wrong with it; and its content."""
    try:
        if path.stat().st_size > LARGEST:
            return f"larger than {LARGEST // 1_000_000} MB", b""
        data = path.read_bytes()
    except OSError as error:
        return error.strerror or "it cannot be read", b""
    if not _BEGINS[suffix](data):
        return f"it is no {suffix[1:]} file", b""
    if suffix == ".svg" and _ACTIVE.search(data):
        return "it holds scripts, or would load something", b""
    return "", data


def _chosen(files: Mapping[str, str]) -> Medium:
    """What is shown of files that differ in their suffix alone."""
    films, images = (
        [name for suffix in kinds for name in files if name.lower().endswith(suffix)] for kinds in (FILMS, IMAGES)
    )
    if not films:
        return Medium(images[0], files[images[0]])
    stills = [name for name in images if not name.lower().endswith((".gif", ".svg"))]
    return Medium(films[0], files[films[0]], is_film=True, poster=files[stills[0]] if stills else "")
