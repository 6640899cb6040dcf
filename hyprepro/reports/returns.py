"""Returns at tasks never trained on, told by numbers: the paper's Table 4 beside ours, or any domain's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyprepro.component import component
from hyprepro.reports import paper
from hyprepro.reports.markdown import NONE, bullets, paragraph, point, table, with_interval
from hyprepro.reports.notes import beside_the_paper, costs, heading, knowledge, route, run_of
from hyprepro.reports.numbers import Numbers, Words, number
from hyprepro.reports.report import Report
from hyprepro.reports.summary import MAIN

Row = Mapping[str, Any]

PROTOCOL = "paper"
"""Whole episodes of fresh starts, undiscounted, as MACAW, Prompt-DT and the paper score them."""
EXPERT = "expert"
ABSENT = "not in this run"
RETURNS = (
    "Return: {score}. Of the deterministic policy, from fresh starts that were used for nothing else and are the same "
    "for every row."
)
INTERVALS = (
    "Intervals: 95%, bootstrap over seeds (jointly for all {many}), over each method's policies, and over starts "
    "(drawn alike for every method, so that differences are paired). IQM: the mean of the middle half of seeds x "
    "{many}. A row of a single policy is resampled over starts alone: of another training run it says nothing."
)
SETS = "Training {many} are spread evenly over the grid. The test {many} are {tests}, whatever is trained on."
CEILINGS = (
    "`expert`: the stored policies of the test {told} itself, all checkpoints; `autoencoder`: those after E and D, "
    "which have not seen them; `{told}-parent` has trained in the environment on all training {many}."
)
OURS = (
    "`gen-hyprl` differs from `gen-hyprl-wo-hypformer`, the paper's row, in HypFormer and in what G is trained on: "
    "mixtures of neighbouring {many}' latents as well (`GenHypRL.between`)."
)
PAPERS = (
    "The paper draws its 10, 20 and 25 training {many} at random; its test {many} are MACAW's, with the indices 2, 7, "
    "15, 23 and 26. What `gen-hyprl` differs in was chosen on withheld training {many}."
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
class ReturnTable(Report):
    """Returns: a row a method and number of training tasks, beside the paper's Table 4 where it is of its domain."""

    def markdown(self, result: Mapping[str, Any]) -> str:
        """The paper beside ours, every row for each number of training tasks, returns by task, the notes."""
        found = [heading(result), paragraph(setting(result)), *versus_paper(result), *by_size(result)]
        return "\n\n".join([*found, "## Notes", bullets(notes(result))]) + "\n"

    def side_by_side(self, result: Mapping[str, Any]) -> str:
        """The paper's table and ours, with the ceilings."""
        found = [*beside_the_paper(4, setting(result)), *versus_paper(result)]
        for size in Numbers(result).sizes:
            found += [f"{size} training {Words.of(result).many}:", _methods_table(Numbers(result, n_train=size))]
        return "\n\n".join([*found, paragraph(READING), *knowledge(result), bullets(notes(result))]) + "\n"


READING = (
    "`gen-hyprl minus it`: how much higher Gen-HypRL's return is, paired; an interval without 0 is a difference. "
    "`beyond expert`: the loss above the expert's, as a share of the expert's."
)


def average(numbers: Numbers, method: str, statistic: str = "mean") -> Row | None:
    """A method's average return."""
    return numbers.row(method, PROTOCOL, None, statistic)


def setting(result: Mapping[str, Any]) -> str:
    """What was run, in a few sentences."""
    text, words = f"Average returns, higher is better. {run_of(result)}.", Words.of(result)
    for size in Numbers(result).sizes:
        numbers = Numbers(result, n_train=size)
        main, tasks = average(numbers, MAIN), len(numbers.tasks)
        if main is not None:
            starts = main["n_episodes"] // max(main["n_policies"] * main["n_seeds"], 1)
            return (
                f"{text} Generators: {main['n_seeds']} seeds, {main['n_policies'] // max(tasks, 1)} policies a "
                f"{words.told} and seed, {starts} starts each; {words.counted(tasks)}."
            )
    return text


def versus_paper(result: Mapping[str, Any]) -> list[str]:
    """The paper's table with ours beside it, where this run is about its test tasks."""
    numbers, words = Numbers(result), Words.of(result)
    if numbers.split != "test" or not is_papers(words):
        return []
    rows = []
    for printed in paper.load("table4")["rows"]:
        ours = average(Numbers(result, n_train=printed.get("n_train", paper.PAPERS_SIZE)), printed["method"])
        shown = with_interval(ours) if ours else _absent(result, printed["method"])
        rows.append([printed["printed_as"], f"{printed['return']:g}", shown])
    for size in numbers.sizes:
        ours = average(Numbers(result, n_train=size), MAIN)
        if ours and paper.average_return(MAIN, size) is None:
            rows.append([f"Gen-HypRL, ours ({size} {words.many})", NONE, with_interval(ours)])
    if average(numbers, EXPERT):
        rows.append([f"expert at the test {words.told}", NONE, with_interval(average(numbers, EXPERT))])
    return [table(["", "paper", "ours"], rows)]


def _absent(result: Mapping[str, Any], method: str) -> str:
    """The cell of a row that was not run: where it stands if it is a published competitor's."""
    return ELSEWHERE if method in PUBLISHED and not _has_published(result) else ABSENT


def _has_published(result: Mapping[str, Any]) -> bool:
    return any(row["method"] in PUBLISHED for row in result["rows"])


def by_size(result: Mapping[str, Any]) -> list[str]:
    """Every method for each number of training tasks, on average and by task; what each knows and costs."""
    found, words = [], Words.of(result)
    for size in Numbers(result).sizes:
        numbers = Numbers(result, n_train=size)
        found += [f"## {size} training {words.many}", _methods_table(numbers), f"By {words.measured}:"]
        found += [_tasks_table(numbers)]
    return [*found, paragraph(READING), *knowledge(result), *costs(result, COSTS_ARE)]


def _methods_table(numbers: Numbers) -> str:
    """Every method of one number of training tasks, and how far Gen-HypRL is above it."""
    rows = []
    for method in numbers.methods:
        mean, iqm = (average(numbers, method, statistic) for statistic in ("mean", "iqm"))
        gain, beyond = numbers.gain(method, PROTOCOL, None), _beyond(mean, average(numbers, EXPERT))
        rows.append([method, with_interval(mean), with_interval(iqm), with_interval(gain, "+"), beyond])
    return table(["method", "return", "IQM", f"{MAIN} minus it", "beyond expert"], rows)


def _tasks_table(numbers: Numbers) -> str:
    """Mean returns by task."""
    rows = [
        [method, *(point(numbers.row(method, PROTOCOL, task)) for task in numbers.tasks)] for method in numbers.methods
    ]
    return table(["method", *map(number, numbers.tasks)], rows)


def notes(result: Mapping[str, Any]) -> list[str]:
    """What a reader must know."""
    words = Words.of(result)
    tests = f"{', '.join(words.tests)} {words.unit}".strip()
    score = words.score or "the undiscounted sum of an episode's rewards"
    found = [RETURNS, INTERVALS, *([SETS] if words.tests else []), CEILINGS, OURS]
    if not is_papers(words):
        texts = [*found, route(result["provenance"], "")]
    else:
        origin = route(result["provenance"], "are 800 checkpoints of a SAC run a velocity")
        texts = [*found, PAPERS, origin, *([] if _has_published(result) else [COMPETITORS])]
    return [text.format(told=words.told, many=words.many, tests=tests, score=score) for text in texts]


def is_papers(words: Words) -> bool:
    """Whether the paper's Table 4 is of this domain."""
    return bool(words.label == paper.load("table4")["domain"])


def _beyond(row: Row | None, expert: Row | None) -> str:
    if row is None or expert is None or not expert["value"]:
        return NONE
    return f"{100 * (expert['value'] - row['value']) / abs(expert['value']):+.1f}%"
