"""The card of what is published: what it is, zoo, protocol, numbers with intervals, the command that repeats them.

It is written from the files themselves, so it says nothing that they do not; the front matter is the Hub's.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from hyprepro.experiments.trainings import OPERATIVE
from hyprepro.hub.manifest import FILE, GENERATOR, SCHEMA, STORE
from hyprepro.hub.parcel import TRAINED, Parcel
from hyprepro.reports.markdown import bullets, paragraph, quote, table, with_interval
from hyprepro.reports.reading import stores_of
from hyprepro.reports.report import departed, miniature

TAGS = ("hyprepro", "reinforcement-learning", "policy-generation", "hypernetworks")
_EXPLAINED = {
    "paper": "paper: two environment seeds, as Make-An-Agent's test code",
    "strict": "strict: fresh goals that nothing was trained, selected or prompted on",
}
ROLLOUTS = "--rollouts 2 --goals 5"
"""What a store's card has run again: few, so that it takes a minute."""


def card(parcel: Parcel, name: str, licence: str) -> str:
    """The card: Markdown.

    Args:
        parcel: What is published.
        name: "USER/NAME", where it goes.
        licence: Its identifier, as the Hub has it.
    """
    digest = parcel.manifest(licence).digest
    words = _of_store(parcel) if parcel.kind == STORE else _of_result(parcel)
    parts = [f"# {parcel.name}", paragraph(words["what"])]
    parts += [f"## Zoo\n\n{words['zoo']}", f"## Protocol\n\n{words['protocol']}", f"## Numbers\n\n{words['numbers']}"]
    parts.append(_repeat(parcel, name, digest))
    parts.append(f"## Licence\n\n{paragraph(f'{licence}, as whoever published this says.')}")
    return "\n\n".join([_front(parcel, licence, digest), *parts]) + "\n"


def commands(parcel: Parcel, name: str, digest: str) -> list[str]:
    """What brings this, and what repeats its numbers."""
    folder = name.rpartition("/")[2]
    source = f"datasets/{name}" if parcel.repository == "dataset" else name
    found = [shlex.join(["hyprepro", "pull", source, "--digest", digest])]
    if parcel.kind == STORE:
        file = next(iter(parcel.files))
        return [*found, f"hyprepro store verify {shlex.quote(f'{folder}/{file}')} {ROLLOUTS}"]
    cache = ["--cache", f"{folder}/{TRAINED}"] if parcel.kind == GENERATOR else []
    return [*found, shlex.join(["hyprepro", "check", f"{folder}/{OPERATIVE}", "--committed", folder, *cache])]


def _front(parcel: Parcel, licence: str, digest: str) -> str:
    """The front matter, by the client's own writer."""
    from huggingface_hub import DatasetCardData, ModelCardData

    facts = {"kind": parcel.kind, "schema": SCHEMA, "digest": digest}
    if parcel.repository == "model":
        data: Any = ModelCardData(license=licence, library_name="hyprepro", tags=list(TAGS), hyprepro=facts)
    else:
        data = DatasetCardData(license=licence, tags=list(TAGS), hyprepro=facts)
    return f"---\n{data.to_yaml()}\n---"


def _repeat(parcel: Parcel, name: str, digest: str) -> str:
    """The commands, and what pins them."""
    lines = [f"pip install 'hyprepro[hub]=={version('hyprepro')}'", *commands(parcel, name, digest)]
    told = (
        f"`--digest` is that of `{FILE}`, which names every file with its SHA-256; all are held against it on arrival. "
        "Add `@COMMIT` to the name to pin the revision too."
    )
    if parcel.kind == GENERATOR:
        told += (
            " The networks are found there as a finished run's, if code and libraries are those that trained them; "
            f"rows other than {', '.join(parcel.methods)} are trained anew."
        )
    return "## Repeat it\n\n```bash\n" + "\n".join(lines) + f"\n```\n\n{paragraph(told)}"


def _of_store(parcel: Parcel) -> dict[str, str]:
    """What a card says of stores."""
    from hyprepro.stores.card import contents, versions_line
    from hyprepro.stores.info import store_info

    found = {
        info["kind"]: info for info in map(store_info, filter(lambda file: file.suffix == ".h5", parcel.files.values()))
    }
    policies, episodes = found.get("policy"), found.get("trajectory", {"tasks": {}})
    first = policies or episodes
    counted = sum(sum(content["counts"].values()) for content in first["tasks"].values())
    what = f"Stores of hyprepro: {counted:,} {'policies' if policies else 'episodes'} of {len(first['tasks'])} tasks."
    zoo = [str(first["route"].get("summary", "made in an unknown way")), f"Libraries: {versions_line(first)}"]
    zoo += [f"{kind} store: digest `{info['digest']}`" for kind, info in found.items()]
    if policies is None:
        return {"what": what, "zoo": bullets(zoo), "protocol": "Recorded episodes.", "numbers": "None."}
    return {
        "what": what,
        "zoo": f"{bullets(zoo)}\n\n{contents(policies, episodes)}",
        "protocol": paragraph(
            "Success and return are recorded policy by policy, deterministic, by whoever made the store. All policies "
            "of a task were scored on the same goals, so a rate counts as one measurement on those: the interval is "
            "Wilson's for so many goals."
        ),
        "numbers": table(("task", "success", "goals", "return"), list(_recorded(policies))),
    }


def _recorded(policies: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """A line for each task of a policy store."""
    from hyprepro.collect.recheck import wilson

    for task, content in policies["tasks"].items():
        success, goals = content.get("success"), (content.get("episodes") or [0])[0]
        rate = "-"
        if success and goals:
            row = {"value": success["mean"], "ci95": wilson(round(success["mean"] * goals), goals)}
            rate = with_interval(row)
        total = content.get("return_mean")
        yield task, rate, str(goals or "-"), "-" if total is None else f"{total:.1f}"


def _of_result(parcel: Parcel) -> dict[str, str]:
    """What a card says of a result, and of what was trained for it."""
    result = parcel.result or {}
    config = result["provenance"].get("config", {})
    title = " ".join(str(config.get("title", result["recipe"])).split())
    what = f"{title}. A result of hyprepro: recipe {result['recipe']}, scale {result['scale']}, variant "
    what += f"{result['variant']}; `table.md` is the whole of it, `records.csv.gz` what every number is computed from."
    if parcel.kind == GENERATOR:
        what = f"Trained generators of hyprepro ({', '.join(parcel.methods)}; folder `{TRAINED}`) and {what}"
    rows = _shown(result)
    above = [quote(banner) for banner in [miniature(result)] if banner] + departed(result)
    numbers = "\n\n".join([*above, _table(rows)])
    return {"what": what, "zoo": bullets(list(_zoos(result))), "protocol": _protocol(result, rows), "numbers": numbers}


def _zoos(result: Mapping[str, Any]) -> Iterator[str]:
    for zoo, stores in stores_of(result["provenance"]).items():
        route = stores.get("route")
        summary = route.get("summary") if isinstance(route, dict) else route
        name = f"{zoo}: " if zoo else ""
        digests = ", ".join(f"{kind} `{stores[kind]}`" for kind in ("policies", "trajectories") if kind in stores)
        yield f"{name}{summary or 'made in an unknown way'}; digests: {digests}"


def _protocol(result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """Which protocols, how many seeds, and on what the episodes were stepped."""
    made, explained = result["provenance"], _EXPLAINED
    if any(row["metric"] == "return" for row in rows):
        explained = {"paper": "paper: the undiscounted return of whole episodes, from the same starts for every policy"}
    names = [name for name in dict.fromkeys(str(row["protocol"]) for row in rows) if name]
    lines = [explained.get(name, name) for name in names]
    lines.append(f"generator seeds: {len(made.get('seeds', ())) or 'unknown'}; rows of one seed say so")
    lines.append(", ".join(f"{library} {text}" for library, text in made.get("versions", {}).items()))
    return bullets(lines)


def _shown(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The averages; where a result has none, all its rows. Interquartile means stand in table.md."""
    rows: list[Mapping[str, Any]] = [row for row in result["rows"] if row["statistic"] != "iqm"]
    return [row for row in rows if row["task"] is None] or rows


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The numbers with their 95% intervals."""
    fields = ("zoo", "task", "n_train")
    extra = [name for name in fields if any(row.get(name) is not None for row in rows)]
    heads = [
        "method",
        *extra,
        "tasks",
        "protocol",
        "statistic",
        "value [95% interval]",
        "policies",
        "episodes",
        "seeds",
    ]
    cells = [
        [
            str(row["method"]),
            *("-" if row.get(name) is None else str(row[name]) for name in extra),
            str(row["split"]),
            str(row["protocol"]),
            _statistic(row),
            with_interval(row),
            *(_count(row, name) for name in ("n_policies", "n_episodes", "n_seeds")),
        ]
        for row in rows
    ]
    return table(heads, cells)


def _statistic(row: Mapping[str, Any]) -> str:
    return f"{row['statistic']} {str(row['metric']).replace('_', ' ')}".replace("success rate", "success, %")


def _count(row: Mapping[str, Any], name: str) -> str:
    return "-" if row.get(name) is None else str(row[name])
