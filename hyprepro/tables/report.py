"""Reports: what is written for people from the numbers of a result. A recipe names one; users may swap it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from hyprepro.errors import UserError
from hyprepro.recipe import COMPONENTS, Component
from hyprepro.tables.frame import framed
from hyprepro.tables.reading import AGAIN

TABLE = "table.md"


class Report(Component, ABC):
    """Turns the content of a result.json into Markdown and, for a figure, pictures; reads nothing but the records."""

    slot: ClassVar[str] = "report"

    @abstractmethod
    def markdown(self, result: Mapping[str, Any]) -> str:
        """The numbers and notes of table.md under a first line with the headline, at most 120 characters wide."""

    def page(self, result: Mapping[str, Any]) -> str:
        """The whole of table.md: above the numbers what a reader must know of any run (see `frame`)."""
        return framed(self.markdown(result), result)

    def side_by_side(self, result: Mapping[str, Any]) -> str:
        """The short comparison with the paper for paper_tables/; the whole report unless there is a shorter one."""
        return self.markdown(result)

    def figures(self, result: Mapping[str, Any]) -> dict[str, bytes]:
        """Further files by name; equal results give equal bytes."""
        return {}

    def require(self) -> None:
        """Fail before any work if the report could not be made here (`UserError`)."""

    def files(self, result: Mapping[str, Any], folder: Path) -> dict[str, bytes]:
        """Everything that belongs beside the result.json, by file name; `folder` holds the result's records."""
        return {TABLE: self.page(result).encode(), **self.figures(result)}


def files_of(report: Report, result: Mapping[str, Any], path: Path) -> dict[str, bytes]:
    """A report's files for a result that was read from `path`, which somebody may have edited.

    Raises:
        UserError: The result is well-formed, and makes no sense to its own report.
    """
    try:
        return report.files(result, path.parent)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            "The result does not fit its own report.", where=f"{path}: {type(error).__name__}: {error}", fix=AGAIN
        ) from error


def report_of(result: Mapping[str, Any]) -> Report:
    """The report that a result was written with.

    Raises:
        UserError: The result names none that is installed, or with settings that it does not have.
    """
    from hyprepro.config.catalogue import load_components

    load_components()
    described = dict(result["provenance"].get("config", {}).get("report") or {})
    found = COMPONENTS.get(str(described.pop("component", "")))
    if found is None or not issubclass(found, Report):
        raise UserError(
            "The result does not say how it is reported.",
            where="provenance.config.report",
            fix="make it again with this version: hyprepro run RECIPE",
        )
    try:
        return found.model_validate({name: _tuples(value) for name, value in described.items()})
    except ValueError as error:
        raise UserError(
            "The result's report has unknown settings.",
            where=str(error),
            fix="make it again with this version: hyprepro run RECIPE",
        ) from None


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
