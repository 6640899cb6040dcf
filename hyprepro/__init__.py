"""Reproduce, question and build on Gen-HypRL: networks that write the weights of other policies.

What a notebook needs stands in `hyprepro.api` and is offered here, imported when it is first asked for.
"""

TYPE_CHECKING = False  # as typing's, which would have to be imported
if TYPE_CHECKING:
    from hyprepro.api import Demonstration, Evaluation, Generator, Policies, UserError, load, open_store

__all__ = ["Demonstration", "Evaluation", "Generator", "Policies", "UserError", "load", "open_store"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hyprepro import api

    found: object = getattr(api, name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
