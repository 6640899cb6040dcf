"""Which versions made a store or a result: every number in the project carries them."""

from __future__ import annotations

import platform
from importlib import metadata

PACKAGES = ("metaworld", "mujoco", "gymnasium", "torch", "numpy", "hyprepro")
"""Packages whose version can change a number."""

IDENTITY = ("metaworld", "mujoco")
"""Packages whose versions are part of the task itself: numbers from different ones must not be compared silently."""


def versions() -> dict[str, str]:
    """Installed versions of `PACKAGES`, of Python, and the platform as system-machine (no host name, no path)."""
    found = {name: _version(name) for name in PACKAGES}
    return {**found, "python": platform.python_version(), "platform": f"{platform.system()}-{platform.machine()}"}


def identity_gaps(recorded: dict[str, str], current: dict[str, str]) -> list[tuple[str, str, str]]:
    """`IDENTITY` packages whose versions differ, as (package, recorded, current); a missing entry is a difference."""
    pairs = [(name, recorded.get(name, "unknown"), current.get(name, "unknown")) for name in IDENTITY]
    return [(name, old, new) for name, old, new in pairs if old != new or old == "unknown"]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
