"""The folder of a result: what goes into each file, and how it replaces an earlier one.

    result.json            rows, comparisons, provenance, digest
    records.csv.gz         one row a rollout, from which every number is computed (figure4: latents.csv.gz, a latent)
    table.md               the table as printed, and the pictures of a figure beside it
    operative_config.gin   every binding; resolves to the same recipe
    config.json            the resolved recipe

`digest` covers rows and records, not the date, the hardware or the time taken: equal digests mean equal results.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hyprepro.component import fingerprint
from hyprepro.domains.base import Data
from hyprepro.engine.provenance import hardware, versions
from hyprepro.engine.stage import staging_folder
from hyprepro.reports.changes import Departure
from hyprepro.reports.reading import RESULT, SCHEMA


@dataclass(frozen=True)
class Outcome:
    """What finished stages say.

    Attributes:
        records: Tidy records in the order of the plan, from which every number is computed.
        write: Writes them to a file; gzip where its name ends in `.gz`.
        rows: The numbers, in result.json's schema.
        comparisons: Paired differences between methods.
        methods: What each method knows at test time and what its training took, by its name in the rows.
        profiles: Performance profiles.
        file: Name of the records' file beside the result.json.
    """

    records: Sequence[tuple[Any, ...]]
    write: Callable[[Path, Any], None]
    rows: Sequence[Mapping[str, Any]]
    comparisons: Sequence[Mapping[str, Any]]
    methods: Mapping[str, Mapping[str, Any]]
    profiles: Sequence[Mapping[str, Any]] = ()
    file: str = "records.csv.gz"


@dataclass(frozen=True)
class Run:
    """A finished run, before it is written.

    Attributes:
        config: The resolved recipe, `Recipe.described()`.
        stores: Digests of the stores and the route by which their policies were made.
        outcome: The records in the order of the plan, and the numbers.
        operative_config: The gin text that resolves to the recipe.
        cost: Wall time, work time, memory and stage counts; they differ from run to run.
        departure: Every value that differs from the shipped recipe; None where nobody looked.
        domain: What reports call its tasks.
    """

    config: dict[str, Any]
    stores: dict[str, Any]
    outcome: Outcome
    operative_config: str
    cost: dict[str, Any]
    departure: Departure | None = None
    domain: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 over the rows, the comparisons and the records."""
        return digest(self.outcome.records, self.outcome.rows, self.outcome.comparisons)

    def result(self) -> dict[str, Any]:
        """The content of result.json."""
        return {
            "schema": SCHEMA,
            "recipe": self.config["name"],
            "scale": self.config["scale"],
            "variant": self.config["variant"],
            "digest": self.digest,
            **({"domain": dict(self.domain)} if self.domain else {}),
            "provenance": {
                "config": self.config,
                **({} if self.departure is None else {"shipped": self.departure.to_json()}),
                "seeds": list(range(self.config["seeds"])),
                "stores": self.stores,
                "versions": versions(),
                "hardware": hardware(),
                "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                **self.cost,
            },
            "methods": {name: dict(method) for name, method in self.outcome.methods.items()},
            "rows": list(self.outcome.rows),
            "comparisons": list(self.outcome.comparisons),
            "profiles": list(self.outcome.profiles),
        }


def digest(
    records: Iterable[tuple[Any, ...]], rows: Iterable[Mapping[str, Any]], comparisons: Iterable[Mapping[str, Any]]
) -> str:
    """SHA-256 over the rows, the comparisons and the records of a result."""
    text = "\n".join(",".join(map(str, getattr(record, "written", record))) for record in records)
    return fingerprint([list(rows), list(comparisons), hashlib.sha256(text.encode()).hexdigest()])


def write_result(
    run: Run, folder: Path, render: Callable[[Mapping[str, Any], Path], Mapping[str, bytes]], is_new: bool = True
) -> dict[str, Any]:
    """Write all files of a result into `folder`, result.json last; a reader that sees the new one sees all new files.

    Args:
        run: The result.
        folder: An existing folder.
        render: Makes the report's files from the content of result.json and the folder that the records lie in.
        is_new: Whether this run made anything. If not, and the folder holds the same records, the date, hardware,
            versions and cost of the run that made them stay; files that would not change are not touched at all.

    Returns:
        The content of result.json as it is now in the folder.
    """
    result = run.result()
    with staging_folder(folder) as staging:
        run.outcome.write(staging / run.outcome.file, run.outcome.records)
        if not is_new and _equal(staging, folder, run.outcome.file):
            earlier = (read_result(folder) or {}).get("provenance", {})
            kept = {name: earlier[name] for name in ("versions", "hardware", "date", *run.cost) if name in earlier}
            result["provenance"] |= kept
        report = render(result, staging)
        for name, content in report.items():
            (staging / name).write_bytes(content)
        (staging / "operative_config.gin").write_text(run.operative_config, encoding="utf-8")
        _write_json(staging / "config.json", run.config)
        _write_json(staging / RESULT, result)
        for name in (run.outcome.file, *report, "operative_config.gin", "config.json", RESULT):
            if not _equal(staging, folder, name):
                os.replace(staging / name, folder / name)
    return result


def read_result(folder: Path) -> dict[str, Any] | None:
    """The result.json of a folder; None where there is none or it cannot be read."""
    try:
        data: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def stores_provenance(sources: Sequence[Data]) -> dict[str, Any]:
    """Digests of both stores, and the route by which the policies were made; of several zoos those of each, by name.

    Of a zoo also from which kinds of runs its test prompts come, and how many runs and policies of a task are trained
    on: the fewest and the most.
    """
    if any(data.zoo for data in sources):
        return {"zoos": {data.zoo: {**_pair(data), **_facts(data)} for data in sources}}
    return _pair(sources[0])


def _pair(data: Data) -> dict[str, Any]:
    with data.open_policies() as policies:
        route = policies.route
    return {"policies": data.policies.digest, "trajectories": data.trajectories.digest, "route": route}


def _facts(data: Data) -> dict[str, Any]:
    from hyprepro.stores.runs import prompt_kinds

    with data.open_policies() as policies, data.open_trajectories() as trajectories:
        tasks = [task for task in policies.tasks if policies.count(task, "train")]
        counts = {
            "training_runs": [len(policies.training_seeds(task)) for task in tasks],
            "training_policies": [policies.count(task, "train") for task in tasks],
        }
        prompts = [data.prompt_runs] if data.prompt_runs else prompt_kinds(policies, trajectories)
    return {"prompts": prompts, **{name: [min(found), max(found)] for name, found in counts.items() if found}}


def _equal(one: Path, other: Path, name: str) -> bool:
    """Whether two folders hold the same file."""
    return (other / name).is_file() and (one / name).read_bytes() == (other / name).read_bytes()


def _write_json(path: Path, data: Any) -> None:
    path.write_text(result_text(data), encoding="utf-8")


def result_text(data: Any) -> str:
    """The JSON text of a result or a configuration."""
    return json.dumps(data, indent=1, allow_nan=False) + "\n"
