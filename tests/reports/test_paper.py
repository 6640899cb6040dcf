from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hyprepro.errors import UserError
from hyprepro.reports import paper
from tests.reports.synthetic import TABLE1_TASKS, TABLE3_TASKS


@pytest.mark.parametrize(("split", "tasks"), [("seen", TABLE1_TASKS), ("unseen", TABLE3_TASKS)])
def test_a_table_has_the_papers_tasks_in_its_order(split: str, tasks: tuple[str, ...]) -> None:
    assert paper.per_task(split).tasks == tasks


@pytest.mark.parametrize("split", ["seen", "unseen"])
def test_the_recomputed_averages_are_the_means_of_the_rows(split: str) -> None:
    table = paper.per_task(split)
    for method, rates in table.rates.items():
        mean = np.mean([rates[task] for task in table.tasks])
        assert table.recomputed[method] == pytest.approx(mean, abs=0.0005)


def test_maas_printed_average_is_kept_and_contradicted() -> None:
    table = paper.per_task("seen")
    assert (table.rates["make-an-agent"][None], table.recomputed["make-an-agent"]) == (0.36, 0.371)
    assert any("37.1" in note for note in table.notes)


def test_tables_1_and_3_agree_with_table_2() -> None:
    for split in ("seen", "unseen"):
        for method, rates in paper.per_task(split).rates.items():
            assert paper.averages(split)[method, "mean"] == pytest.approx(rates[None])


@pytest.mark.parametrize(
    ("question", "rate"),
    [
        (("seen", "gen-hyprl", "dial-turn", "mean"), 0.48),
        (("seen", "gen-hyprl", None, "mean"), 0.703),
        (("seen", "gen-hyprl-wo-hypformer", None, "top5"), 1.0),
        (("unseen", "gen-hyprl", None, "top10"), 0.8063),
        (("unseen", "make-an-agent", "drawer-close", "mean"), 0.55),
        (("seen", "care", None, "mean"), 0.821),
        (("seen", "care", "dial-turn", "mean"), None),
        (("seen", "gen-hyprl", "dial-turn", "top5"), None),
        (("seen", "gen-hyprl", "reach", "mean"), None),
        (("seen", "retrieval", None, "mean"), None),
        (("test", "gen-hyprl", None, "mean"), None),
    ],
)
def test_a_rate_is_the_papers_or_none(question: tuple[str, str, str | None, str], rate: float | None) -> None:
    split, method, task, statistic = question
    tasks = TABLE3_TASKS if split == "unseen" else TABLE1_TASKS
    assert paper.rate(split, method, task, statistic, tasks) == rate


def test_the_papers_average_stands_only_beside_an_average_of_the_same_tasks() -> None:
    assert paper.rate("seen", "gen-hyprl", None, "mean", TABLE1_TASKS[::-1]) == 0.703
    assert paper.rate("seen", "gen-hyprl", None, "mean", TABLE1_TASKS[:7]) is None
    assert paper.rate("seen", "gen-hyprl", "door-open", "mean", TABLE1_TASKS[:2]) == 0.62


def test_table_4_is_there() -> None:
    returns = {(row["method"], row.get("n_train")): row["return"] for row in paper.load("table4")["rows"]}
    assert returns["gen-hyprl-wo-hypformer", 35] == -29.6
    assert returns["macaw-0", None] == -121.6


def test_missing_and_malformed_files_are_user_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper, "FOLDERS", (tmp_path,))
    with pytest.raises(UserError, match=r"table1\.yaml are missing"):
        paper.load("table1")
    for text in ("a: [", "- 1", "!!python/object/apply:os.system ['true']"):
        (tmp_path / "table1.yaml").write_text(text)
        with pytest.raises(UserError, match="malformed"):
            paper.load("table1")
