"""The form of a result.json, as pydantic checks it; only reading a result takes this module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator


class _Loose(BaseModel):
    """A JSON object of which the fields below are needed, whatever else it holds."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Number(_Loose):
    """What rows and comparisons share."""

    method: str
    split: str
    task: str | None
    protocol: str
    metric: str
    statistic: str
    zoo: str = ""
    value: float | None = None
    ci95: list[float] | None = Field(None, min_length=2, max_length=2)

    @model_validator(mode="after")
    def _interval(self) -> _Number:
        if (self.value is None) != (self.ci95 is None):
            raise ValueError("value and ci95 are not finite numbers both")
        if self.ci95 is not None and self.ci95[0] > self.ci95[1]:
            raise ValueError("ci95 is upside down")
        return self


class _Row(_Number):
    n_train: int | None
    paper: float | None = None
    n_policies: int = Field(ge=0)
    n_episodes: int = Field(ge=0)
    n_seeds: int = Field(ge=0)


class _Comparison(_Number):
    minus: str
    n_runs: int | None = Field(None, ge=1)


class _Profile(_Loose):
    method: str
    split: str
    protocol: str
    taus: list[float]
    share: list[float]
    low: list[float]
    high: list[float]

    @model_validator(mode="after")
    def _aligned(self) -> _Profile:
        if len({len(self.taus), len(self.share), len(self.low), len(self.high)}) > 1:
            raise ValueError("taus, share, low and high are of different lengths")
        return self


class _Method(_Loose):
    knows: str = ""
    uses: str = ""
    training_seconds: float | None = None
    training_seconds_by_n_train: dict[str, float | None] = Field(default_factory=dict)
    training_seconds_by_zoo: dict[str, float | None] = Field(default_factory=dict)


class _Config(_Loose):
    seen: list[str] = Field(default_factory=list)
    below: list[str] = Field(default_factory=list)
    unseen: list[str] = Field(default_factory=list)


class _Provenance(_Loose):
    config: _Config = Field(default_factory=_Config)
    stores: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)


class _Result(_Loose):
    recipe: str = ""
    scale: str = ""
    variant: str = ""
    rows: list[_Row]
    provenance: _Provenance
    comparisons: list[_Comparison] = Field(default_factory=list)
    profiles: list[_Profile] = Field(default_factory=list)
    methods: dict[str, _Method] = Field(default_factory=dict)


def problem_of_form(data: Mapping[str, Any]) -> str:
    """What is wrong with the fields of a result.json, in a few words; empty if nothing is."""
    try:
        _Result.model_validate(data)
    except ValidationError as error:
        return _first(error)
    return ""


def _first(error: ValidationError) -> str:
    """The first thing that pydantic found, with its place: "rows[0].ci95[1]: input should be a finite number"."""
    found = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in found["loc"]).lstrip(".")
    message = found["msg"].removeprefix("Value error, ")
    return f"{place}: {message[0].lower()}{message[1:]}"
