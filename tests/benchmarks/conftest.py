"""Benchmarks are commands too."""

from tests.cli.conftest import hyprepro

__all__ = ["hyprepro"]
