"""Which domain a store is of: the domains say so themselves, by their sizes and by the names of their tasks."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from hyprepro.component import COMPONENTS
from hyprepro.domains.base import Domain

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec


def domains() -> tuple[Domain, ...]:
    """Every domain that is known, those of modules that a gin file imported included, with its own stores."""
    from hyprepro.config.catalogue import load_components

    load_components()
    kinds = [cls for cls in COMPONENTS.values() if issubclass(cls, Domain)]
    return tuple(cls() for cls in kinds if not any(field.is_required() for field in cls.model_fields.values()))


def domain_of(tasks: Collection[str], sizes: tuple[int, int] | None = None) -> Domain | None:
    """The first domain that has all of some tasks; None where none has.

    Args:
        tasks: Names of tasks.
        sizes: Numbers of an observation and of an action; None: whatever they are.
    """
    fitting = (domain for domain in domains() if sizes in (None, domain.sizes))
    return next((domain for domain in fitting if all(map(domain.has, tasks))), None)


def task_spec(task: str, sizes: tuple[int, int]) -> EnvSpec | None:
    """How `gymnasium.make` makes a task's environment; None if the name is no environment's of these sizes."""
    domain = domain_of([task], sizes)
    return None if domain is None else domain.environment(task)
