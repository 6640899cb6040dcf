"""What data cards say of a pair of stores: contents by task, the runs that did not get there, where a part comes from.

A run that did not get there reached the success rate that was asked for at none of its checkpoints. None of its
policies is stored. Its name and its curve are in the stores' route, and so in every card and result.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hyprepro.stores.info import store_info

UNSOLVED = "unsolved"
"""In a route: by task and run (its seed, as text) the `(step, success rate)` of the checkpoints that were tried."""

POINTS = 12
"""Of a curve."""

Curve = Sequence[tuple[int, float]]
Unsolved = dict[str, dict[str, list[list[float]]]]


class Given(NamedTuple):
    """A pair of stores that others were made of.

    Attributes:
        name: Its name.
        policies: The digest of its policies.
        trajectories: That of its episodes.
        part: Which `runs` `of` how many of a collection they are; None: not a part of one.
    """

    name: str
    policies: str
    trajectories: str
    part: Mapping[str, Any] | None = None

    @property
    def line(self) -> str:
        """What a card says of it."""
        runs = f", runs {', '.join(map(str, self.part['runs']))} of {self.part['of']}" if self.part else ""
        return f"  - {self.name}{runs}: policies `{self.policies}`, trajectories `{self.trajectories}`"


def unsolved_route(curves: Mapping[tuple[str, int], Curve]) -> dict[str, Unsolved]:
    """What a route says of the runs that did not get there, by task and seed; nothing if there are none.

    A curve keeps `POINTS` points, evenly spread, the last one among them.
    """
    found: Unsolved = {}
    for (task, seed), curve in sorted(curves.items()):
        points, last = sorted(curve), len(curve) - 1
        rows = sorted({round(last * i / (POINTS - 1)) for i in range(POINTS)})
        found.setdefault(task, {})[str(seed)] = [[points[i][0], round(points[i][1], 4)] for i in rows]
    return {UNSOLVED: found} if found else {}


def joined_unsolved(routes: Iterable[Mapping[str, Any]]) -> dict[str, Unsolved]:
    """The same of several routes together."""
    found: Unsolved = {}
    for route in routes:
        for task, runs in route.get(UNSOLVED, {}).items():
            found[task] = dict(sorted({**found.get(task, {}), **runs}.items(), key=lambda run: int(run[0])))
    return {UNSOLVED: dict(sorted(found.items()))} if found else {}


def contents(zoo: Mapping[str, Any], episodes: Mapping[str, Any]) -> str:
    """The table of a card, from what `store_info` tells of both stores."""
    tasks = sorted({*zoo["tasks"], *episodes["tasks"]})
    rows = [_row(task, zoo["tasks"].get(task, {}), episodes["tasks"].get(task, {})) for task in tasks]
    return "\n".join(
        [
            "| task | policies (train / test) | success (mean, lowest) | return (mean) "
            "| prompts (train / validation / test) |",
            "| --- | --- | --- | --- | --- |",
            *rows,
        ]
    )


def unsolved_lines(zoo: Mapping[str, Any]) -> str:
    """The lines of a card on the runs that did not get there; empty if all did."""
    runs = [(task, *run) for task, runs in zoo["route"].get(UNSOLVED, {}).items() for run in runs.items()]
    if not runs:
        return ""
    lines = [f"  - {task}, run {seed}: {_curve(curve)}" for task, seed, curve in runs]
    lost = sorted({task for task, *_ in runs} - set(zoo["tasks"]))
    none = f" Of {', '.join(lost)} no run got there: the stores have no policy of it." if lost else ""
    return f"""- **Not solved**: these runs reached the success rate that was asked for at no checkpoint, and none of
  their policies is stored. Success at environment steps:{none}
{chr(10).join(lines)}
"""


def versions_line(zoo: Mapping[str, Any]) -> str:
    """The libraries that made the stores."""
    return ", ".join(f"{library} {version}" for library, version in zoo["versions"].items())


def part_card(command: Sequence[str], given: Sequence[Given], policies: Path, trajectories: Path) -> str:
    """The card of stores that were joined, or taken from others: Markdown.

    Args:
        command: What made them.
        given: The stores that they were made of.
        policies: The policy store.
        trajectories: The trajectory store.
    """
    zoo, episodes = store_info(policies), store_info(trajectories)
    name = policies.name.removesuffix(".policies.h5")
    kept = "Taken from" if len(given) == 1 else "Joined of"
    return f"""# Data card: {name}

Made by `{shlex.join(command)}`; written by that command, not by hand.

{contents(zoo, episodes)}

- **Policies**: {zoo["route"].get("summary", "made in an unknown way")}.
- **{kept}** these stores, whose own cards say how they were made and measured:
{chr(10).join(one.line for one in given)}
- **Success** and **return** are recorded policy by policy, as the stores above have them.
{unsolved_lines(zoo)}- **Versions**: {versions_line(zoo)}. Results on another MuJoCo version are not comparable.
- **Digests**: policies `{zoo["digest"]}`, trajectories `{episodes["digest"]}`.
"""


def _row(task: str, zoo: Mapping[str, Any], episodes: Mapping[str, Any]) -> str:
    counts, prompts, success = zoo.get("counts", {}), episodes.get("counts", {}), zoo.get("success")
    returns = zoo.get("return_mean")
    cells = (
        task,
        f"{counts.get('train', 0)} / {counts.get('test', 0)}",
        f"{success['mean']:.3f}, {success['min']:.2f}" if success else "-",
        "-" if returns is None else f"{returns:.0f}",
        f"{prompts.get('train', 0)} / {prompts.get('validation', 0)} / {prompts.get('test', 0)}",
    )
    return f"| {' | '.join(cells)} |"


def _curve(curve: Curve) -> str:
    return ", ".join(f"{success:.2f} at {step:,.0f}" for step, success in curve)
