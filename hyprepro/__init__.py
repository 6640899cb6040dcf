"""Reproduce, question and build on Gen-HypRL: networks that write the weights of other policies.

What a notebook needs stands in `hyprepro.api` and is offered here, imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyprepro.api import Demonstration, Evaluation, Generator, Policies, UserError, load, open_store

__all__ = ["Demonstration", "Evaluation", "Generator", "Policies", "UserError", "load", "open_store"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hyprepro import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
