"""The numbers of any kind of result, from the records that lie beside its result.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyprepro.reports.latent_records import read_latents
from hyprepro.reports.latents import summarise_latents
from hyprepro.reports.records import read_records
from hyprepro.reports.returns import summarise_returns
from hyprepro.reports.summary import Summary, summarise

RECORDS = "records.csv.gz"
LATENTS = "latents.csv.gz"


def read_summary(folder: Path, result: Mapping[str, Any]) -> tuple[Sequence[tuple[Any, ...]], Summary]:
    """The records of a folder, and what is computed from them.

    Args:
        folder: Holds the records.
        result: The content of the result.json beside them: the recipe says which tasks are averaged.

    Raises:
        UserError: The records are missing, damaged or incomplete.
    """
    config, recipe = result["provenance"].get("config", {}), str(result["recipe"])
    kind = config.get("component")
    if kind == "LatentRecipe":
        latents = read_latents(folder / LATENTS)
        return latents, summarise_latents(latents)
    if kind == "VelocityRecipe":
        returns = read_records(folder / RECORDS)
        return returns, summarise_returns(returns, recipe=recipe, reference=str(config.get("reference")))
    records = read_records(folder / RECORDS)
    tasks = {name: config.get(name, ()) for name in ("seen", "below", "unseen")}
    return records, summarise(records, recipe=recipe, reference=str(config.get("reference")), **tasks)
