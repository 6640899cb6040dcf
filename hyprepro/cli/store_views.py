"""What the commands of `hyprepro store` print for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hyprepro.cli import console

if TYPE_CHECKING:
    from hyprepro.collect.recheck import Recheck

_BARS = "▁▂▃▄▅▆▇█"


def show_info(found: dict[str, Any]) -> None:
    """A store at a glance, from `store_info`: the file, then one line a task."""
    route, versions = found["route"], found["versions"]
    rows = [
        ("path", found["path"]),
        ("kind", f"{found['kind']}, schema {found['schema']}, {found['bytes'] / 1e6:.1f} MB"),
        ("digest", found["digest"]),
        ("made by", ": ".join(str(route[name]) for name in ("name", "route", "summary") if name in route)),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]
    if "layout" in found:
        layout = found["layout"]
        widths = [layer["shape"] for layer in layout["layers"][:6:2]]
        sizes = [widths[0][1], *(shape[0] for shape in widths)]
        rows.append(("policies", f"{' -> '.join(map(str, sizes))}, {'/'.join(layout['activations'])}"))
    if found.get("policies_digest"):
        rows.append(("of policies", found["policies_digest"]))
    rows += _generated(route)
    if route.get("prompts_only"):
        rows.append(("prompts only", "states between every third one and all rewards were never published"))
    console.columns(rows, indent=0)
    console.line()
    tasks = found["tasks"]
    lines: list[tuple[str, ...]]
    if found["kind"] == "policy":
        succeeds = any(content.get("success") for content in tasks.values())
        returns = not succeeds and any("return_min" in content for content in tasks.values())
        scores = _RETURNS if returns else _RATES
        lines = [("task", "train/test", "seeds", "steps", *scores, "starts" if returns else "goals")]
        lines += [_policy_line(task, content, _returns if returns else _rates) for task, content in tasks.items()]
    else:
        lines = [("task", "train/validation/test", "steps", "success", "at step", "policies")]
        lines += [_episode_line(task, content) for task, content in tasks.items()]
    console.columns(lines, indent=0)


def _generated(route: dict[str, Any]) -> list[tuple[str, str]]:
    """What `hyprepro generate` records of its policies; of stores that others wrote, what is there of it."""
    if route.get("route") != "generated":
        return []
    flags = [f"--{name} {route[name]}" for name in ("scale", "variant", "method", "seed") if name in route]
    rows = [("recipe", " ".join([str(route.get("recipe", "unknown")), *flags]))]
    rows += [("fingerprint", str(route["fingerprint"]))] if "fingerprint" in route else []
    changed = route.get("changed")
    if isinstance(changed, list):
        shipped = str(route.get("shipped", ""))
        nothing = f"nothing of {shipped}" if shipped else "a recipe of its own, which is not shipped"
        rows += [("changed", str(text)) for text in changed] or [("changed", nothing)]
    stores = route.get("stores")
    if isinstance(stores, dict):
        rows += [(f"from {name}", str(digest)) for name, digest in stores.items()]
    return rows


def show_recheck(found: Sequence[Recheck]) -> None:
    """Recorded and measured success (return) of each task, and on how many goals (starts)."""
    if not found:
        return
    rows = [("task", "policies", "episodes", "recorded", "measured [95%]", "p", "")]
    for one in found:
        recorded = "unknown" if one.recorded is None else f"{one.recorded:.3f} on {one.recorded_goals}"
        measured = f"{one.measured:.3f} [{one.low:.3f}, {one.high:.3f}]", "-" if one.p is None else f"{one.p:.2g}"
        verdict = "CONTRADICTED" if one.contradicted else ""
        rows.append((one.task, str(one.policies), str(one.episodes), recorded, *measured, verdict))
    console.line()
    console.columns(rows, indent=0)
    bad = [one.task for one in found if one.contradicted]
    console.line()
    console.line(f"what is recorded is contradicted on {', '.join(bad)}" if bad else "nothing recorded is contradicted")


def show_diversity(report: Sequence[dict[str, Any]]) -> None:
    """Distances and principal components of each task, from `stores.diversity.to_json`."""
    acted = any(one["behaviour"] for one in report)
    shares = sorted({int(k) for one in report for k in one["components"]})
    header = ["task", "policies", "runs", "weights: run", "runs", "tasks"]
    header += ["actions: run", "runs", "tasks"] if acted else []
    rows = [[*header, *(f"PC {k}" for k in shares)]]
    for one in report:
        cells = [one["task"], str(one["policies"]), str(one["runs"] or "-"), *_distances(one["weights"])]
        cells += _distances(one["behaviour"]) if acted else []
        rows.append([*cells, *(_share(one["components"].get(str(k))) for k in shares)])
    console.columns(rows, indent=0)
    console.line()
    console.line(
        "weights: root mean square difference of two policies as a share of a weight's; unrelated policies: 1.41"
    )
    if acted:
        console.line("actions: mean squared difference on common observations, actions within -1 to 1")
    console.line("run, runs, tasks: pairs within a training run, between runs of a task, between tasks")
    console.line("PC k: share of the variance in the first k principal components")


_RATES = ("success: min", "p10", "median", "mean", "0 to 1")
_RETURNS = ("return: min", "mean", "max", "last")


def _policy_line(task: str, content: dict[str, Any], scores: Callable[[dict[str, Any]], list[str]]) -> tuple[str, ...]:
    counts = _counts(content, "train", "test")
    if not content["counts"]:
        return (task, counts)
    known = _numbers(content["seeds"]), _span(content["steps"])
    return (task, counts, *known, *scores(content), _span(content["episodes"]))


def _rates(content: dict[str, Any]) -> list[str]:
    success = content["success"]
    if not success:
        return ["unknown", *"----"]
    return [*(f"{success[name]:.2f}" for name in ("min", "p10", "median", "mean")), _bars(content["histogram"])]


def _returns(content: dict[str, Any]) -> list[str]:
    values = [content.get(f"return_{name}") for name in ("min", "mean", "max", "last")]
    return ["unknown" if value is None else f"{value:.1f}" for value in values]


def _episode_line(task: str, content: dict[str, Any]) -> tuple[str, ...]:
    counts = _counts(content, "train", "validation", "test")
    if not content["counts"]:
        return (task, counts)
    when = f"{content['success_rate']:.3f}", _span(content["success_step"])
    return (task, counts, _span(content["steps"]), *when, str(content["policies"]))


def _counts(content: dict[str, Any], *splits: str) -> str:
    return "/".join(str(content["counts"].get(split, 0)) for split in splits)


def _bars(counts: Sequence[int]) -> str:
    """A histogram in one line; an empty bin is a dot."""
    most = max(counts)
    return "".join(_BARS[-(-count * len(_BARS) // most) - 1] if count else "·" for count in counts)


def _numbers(values: Sequence[int]) -> str:
    """Numbers shortly: a run as its ends."""
    if not values:
        return "unknown"
    if len(values) > 2 and values[-1] - values[0] == len(values) - 1:
        return f"{values[0]}-{values[-1]}"
    shown = ",".join(map(str, values[:6]))
    return shown if len(values) <= 6 else f"{shown},... ({len(values)})"


def _span(ends: Sequence[int]) -> str:
    if not ends:
        return "unknown"
    return str(ends[0]) if ends[0] == ends[-1] else f"{ends[0]}-{ends[-1]}"


def _distances(values: dict[str, float | None] | None) -> list[str]:
    if values is None:
        return ["-"] * 3
    return ["-" if value is None else f"{value:.3g}" for value in values.values()]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f}%"
