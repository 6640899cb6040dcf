"""The paper's Table 4 (returns on Cheetah-Vel at velocities never trained on) beside ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyprepro.component import component
from hyprepro.reports import paper
from hyprepro.reports.markdown import NONE, bullets, paragraph, table
from hyprepro.reports.notes import COSTS, heading, knowledge
from hyprepro.reports.paper import PAPERS_SIZE, average_return
from hyprepro.reports.report import Report
from hyprepro.reports.summary import MAIN

Row = Mapping[str, Any]

EXPERT = "expert"
ABSENT = "not in this run"
RETURNS = (
    "Return: the undiscounted sum over 200 steps of -|v_x - v*| - 0.05 sum(a^2) on HalfCheetah-v5, of the "
    "deterministic policy, from fresh starts that were used for nothing else and are the same for every row. 0 cannot "
    "be reached: a cheetah starts at rest, and torque costs."
)
INTERVALS = (
    "Intervals: 95%, bootstrap over seeds (jointly for all velocities), over each method's policies, and over starts "
    "(drawn alike for every method, so that differences are paired). IQM: the mean of the middle half of seeds x "
    "velocities. A row of a single policy is resampled over starts alone: of another training run it says nothing."
)
SETS = (
    "Training velocities: the paper draws its 10, 20 and 25 at random; ours are spread evenly over the grid. The test "
    "velocities are 0.225, 0.6, 1.2, 1.8 and 2.025 m/s (MACAW's indices 2, 7, 15, 23, 26) whatever is trained on."
)
CEILINGS = (
    "`expert`: the stored policies of the test velocity itself, all checkpoints; `autoencoder`: those after E and D, "
    "which have not seen them; `velocity-parent` has trained in the environment on all 35 training velocities."
)
OURS = (
    "`gen-hyprl-wo-hypformer` is the paper's row. `gen-hyprl` differs from it in HypFormer and in what G is trained "
    "on: mixtures of neighbouring velocities' latents as well (`GenHypRL.between`); chosen on withheld "
    "training velocities."
)
PUBLISHED = ("macaw-0", "macaw-20k", "prompt-dt")
ELSEWHERE = "see `baselines4`"
COMPETITORS = "MACAW and Prompt-DT have a recipe of their own: `hyprepro run baselines4`."
COSTS_ARE = (
    "Seconds of the training stages behind one seed, the autoencoder included; the median over seeds, on a machine "
    "with other work: a rough guide. Every row but the expert's rests on stored policies or episodes, whose own "
    "training is not counted here; the stores' data card says what it took."
)


@component
class VelocityTable(Report):
    """The paper's Table 4: a row a method and number of training velocities; then ceilings, velocities and costs."""

    def markdown(self, result: Mapping[str, Any]) -> str:
        """The paper beside ours, every row for each number of training velocities, returns by velocity, the notes."""
        returns = Returns(result)
        found = [heading(result), paragraph(setting(returns)), *versus_paper(returns)]
        for size in returns.sizes:
            found += [f"## {size} training velocities", methods_table(returns, size), "By target velocity, m/s:"]
            found += [velocities_table(returns, size)]
        found += [paragraph(READING), *knowledge(result), *costs(result)]
        return "\n\n".join([*found, "## Notes", bullets(notes(result))]) + "\n"

    def side_by_side(self, result: Mapping[str, Any]) -> str:
        """The paper's table and ours, with the ceilings."""
        returns = Returns(result)
        found = ["# Table 4: the paper and this reproduction"]
        found += [paragraph(f"Generated from a committed result; do not edit. {setting(returns)}")]
        found += [*versus_paper(returns)]
        for size in returns.sizes:
            found += [f"{size} training velocities:", methods_table(returns, size)]
        return "\n\n".join([*found, paragraph(READING), *knowledge(result), bullets(notes(result))]) + "\n"


READING = (
    "`gen-hyprl minus it`: how much higher Gen-HypRL's return is, paired; an interval without 0 is a difference. "
    "`beyond expert`: the loss above the expert's, as a share of the expert's."
)


class Returns:
    """The rows of a result by what they are.

    Args:
        result: The content of a result.json.
        split: The split of the table; None: "validation" if the run has it, else "test".
    """

    def __init__(self, result: Mapping[str, Any], split: str | None = None) -> None:
        self.result = result
        splits = {row["split"] for row in result["rows"]}
        self.split = split or ("validation" if "validation" in splits else "test")
        rows = [row for row in result["rows"] if row["split"] == self.split]
        self._rows = {(r["method"], r["n_train"], r["task"], r["statistic"]): r for r in rows}
        gains = [row for row in result.get("comparisons", []) if row["split"] == self.split]
        self._gains = {(r["minus"], r["n_train"]): r for r in gains}
        self.methods = list(dict.fromkeys(row["method"] for row in rows))
        self.tasks = list(dict.fromkeys(row["task"] for row in rows if row["task"] is not None))
        self.sizes = list(dict.fromkeys(row["n_train"] for row in rows if row["n_train"] is not None))

    def row(self, method: str, size: int | None, task: str | None = None, statistic: str = "mean") -> Row | None:
        """One row; for a method that does not depend on the training velocities the same for every size."""
        found = self._rows.get((method, size, task, statistic))
        return found or self._rows.get((method, None, task, statistic))

    def gain(self, minus: str, size: int | None) -> Row | None:
        """The reference minus another method, paired."""
        return self._gains.get((minus, size))

    def velocity(self, task: str) -> str:
        """A column's head: the velocity in m/s."""
        return f"{float(task.rpartition('-')[2]):g}"


def setting(returns: Returns) -> str:
    """What was run, in a few sentences."""
    result = returns.result
    text = f"Average returns, higher is better. Recipe {result.get('recipe')}, scale {result.get('scale')}"
    text += f", variant {result.get('variant', 'ours')}."
    main = next((row for size in returns.sizes if (row := returns.row(MAIN, size))), None)
    if main is None:
        return text
    count = main["n_policies"] // max(len(returns.tasks), 1)
    starts = main["n_episodes"] // max(main["n_policies"] * main["n_seeds"], 1)
    return (
        f"{text} Generators: {main['n_seeds']} seeds, {count} policies a velocity and seed, {starts} starts each; "
        f"{len(returns.tasks)} velocities."
    )


def versus_paper(returns: Returns) -> list[str]:
    """The paper's table with ours beside it, where this run is about its test velocities."""
    if returns.split != "test":
        return []
    rows = []
    for printed in paper.load("table4")["rows"]:
        size = printed.get("n_train", PAPERS_SIZE)
        ours = returns.row(printed["method"], size)
        rows.append(
            [
                printed["printed_as"],
                f"{printed['return']:g}",
                with_interval(ours) if ours else _absent(returns, printed["method"]),
            ]
        )
    for size in returns.sizes:
        if returns.row(MAIN, size) and average_return(MAIN, size) is None:
            rows.append([f"Gen-HypRL, ours ({size} velocities)", NONE, with_interval(returns.row(MAIN, size))])
    if returns.row(EXPERT, None):
        rows.append(["expert at the test velocity", NONE, with_interval(returns.row(EXPERT, None))])
    return [table(["", "paper", "ours"], rows)]


def _absent(returns: Returns, method: str) -> str:
    """The cell of a row that was not run: where it stands if it is a published competitor's."""
    return ELSEWHERE if method in PUBLISHED and not set(PUBLISHED) & set(returns.methods) else ABSENT


def methods_table(returns: Returns, size: int) -> str:
    """Every method of one number of training velocities, and how far Gen-HypRL is above it."""
    expert = returns.row(EXPERT, size)
    rows = []
    for method in returns.methods:
        row = returns.row(method, size)
        if row is not None:
            iqm = with_interval(returns.row(method, size, None, "iqm"))
            gain = with_interval(returns.gain(method, size), "+")
            rows.append([method, with_interval(row), iqm, gain, _beyond(row, expert)])
    return table(["method", "return", "IQM", f"{MAIN} minus it", "beyond expert"], rows)


def velocities_table(returns: Returns, size: int) -> str:
    """Mean returns by velocity."""
    rows = []
    for method in returns.methods:
        cells = [returns.row(method, size, task) for task in returns.tasks]
        if any(cells):
            rows.append([method, *(_number(cell["value"]) if cell else NONE for cell in cells)])
    return table(["method", *(returns.velocity(task) for task in returns.tasks)], rows)


def costs(result: Mapping[str, Any]) -> list[str]:
    """Training seconds by method and number of training velocities."""
    methods = {
        name: each["training_seconds_by_n_train"]
        for name, each in result.get("methods", {}).items()
        if "training_seconds_by_n_train" in each
    }
    sizes = list(dict.fromkeys(size for seconds in methods.values() for size in seconds if size != "any"))
    if not methods:
        return []
    rows = [[name, *(_seconds(seconds, size) for size in sizes)] for name, seconds in methods.items()]
    return [COSTS, table(["method", *(f"{size} velocities, s" for size in sizes)], rows), paragraph(COSTS_ARE)]


def notes(result: Mapping[str, Any]) -> list[str]:
    """What a reader must know."""
    declared = result["provenance"].get("stores", {}).get("route", {})
    text = str(declared.get("summary") or declared.get("name") or "not stated in the store").rstrip(".")
    route = f"Route to the experts: {text}. The paper's are 800 checkpoints of a SAC run a velocity."
    ran = {row["method"] for row in result["rows"]}
    absent = [COMPETITORS] if not set(PUBLISHED) & ran else []
    return [RETURNS, INTERVALS, SETS, CEILINGS, OURS, route, *absent]


def with_interval(row: Row | None, sign: str = "") -> str:
    """Value and 95% interval: `-21.3 [-22.0, -20.6]`."""
    if row is None or row.get("value") is None:
        return NONE
    plus = sign if row["value"] > 0 else ""
    return f"{plus}{_number(row['value'])} [{', '.join(map(_number, row['ci95']))}]"


def _number(value: float) -> str:
    return f"{value:.2f}"


def _beyond(row: Row, expert: Row | None) -> str:
    if expert is None or not expert["value"]:
        return NONE
    return f"{100 * (expert['value'] - row['value']) / abs(expert['value']):+.1f}%"


def _seconds(seconds: Mapping[str, float | None], size: str) -> str:
    value = seconds.get(size, seconds.get("any"))
    if value is None:
        return NONE
    return "none" if value == 0 else f"{value:.0f}"
