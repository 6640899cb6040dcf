from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from hyprepro.reports.report import report_of
from hyprepro.reports.web.media import Media, Medium
from hyprepro.reports.web.page import SETTINGS, Shown, page_of
from tests.reports.synthetic import make_result
from tests.reports.web.pages import Element, assert_sound, contrast, read

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x00\x1b[31m\u202e\ud800"


def shown(result: dict[str, Any] | None = None, **others: Any) -> Shown:
    result = make_result() if result is None else result
    return Shown(Path("result.json"), result, report_of(result), **others)


def page(*results: Shown, readings: tuple[str, ...] = ()) -> Element:
    root = read(page_of(results, readings))
    assert_sound(root)
    return root


def hostile(value: Any) -> Any:
    """The same with every text of it hostile, keys too."""
    if isinstance(value, dict):
        return {f"{key}{HOSTILE}": hostile(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hostile(item) for item in value]
    return f"{value}{HOSTILE}" if isinstance(value, str) else value


def test_a_result_is_one_sound_page() -> None:
    root = page(shown())
    assert root.all("h1")[0].text == "Table 1"
    heads = [each.text for each in root.all("h2")]
    assert heads[0] == "At a glance"
    assert {"Paper protocol", "Every number", "How to repeat it", "Provenance"} <= set(heads)
    assert not root.all("nav")


def test_every_row_and_every_comparison_stands_on_the_page_with_its_interval() -> None:
    result = make_result()
    tables = {each.all("caption")[0].text: each for each in page(shown(result)).all("table")}
    rows = next(table for name, table in tables.items() if name.startswith("The ") and "numbers" in name)
    pairs = next(table for name, table in tables.items() if "comparisons" in name)
    assert len(rows.all("tr")) == 1 + len(result["rows"])
    assert len(pairs.all("tr")) == 1 + len(result["comparisons"])
    for row, line in zip(result["rows"], rows.all("tr")[1:], strict=True):
        cells = [each.text for each in line.all("th", "td")]
        assert cells[0] == row["method"]
        shown_value = float(next(cell for cell in cells if "[" in cell).split(" [")[0])
        assert shown_value == pytest.approx(100 * row["value"], abs=0.06)
        assert f"[{', '.join(f'{round(100 * end, 1):g}' for end in row['ci95'])}]" in " ".join(cells).replace(".0", "")


def test_several_results_have_a_list_of_them_and_readings_stand_below() -> None:
    other = make_result()
    other["provenance"]["config"]["title"] = "Table 9"
    root = page(shown(), shown(other), readings=("# Claims\n\n## One\n\n| claim | ours |\n| --- | --- |\n| a | b |\n",))
    assert root.all("h1")[0].text == "2 results of hyprepro"
    assert [each.text for each in root.all("h2")] == ["Table 1", "Table 9", "What the results say: Claims"]
    assert [each.text for each in root.all("nav")[0].all("a")] == ["Table 1", "Table 9"]


def test_pictures_films_and_what_is_left_out() -> None:
    drawing, film = (
        Medium("a_b.svg", "data:image/svg+xml;base64,AA=="),
        Medium("f.mp4", "data:video/mp4;base64,AA==", True),
    )
    media = Media((drawing, film), ("big.png (larger than 8 MB)",))
    root = page(shown(media=media))
    (image,), (video,) = root.all("img"), root.all("video")
    assert image.attributes["src"] == "data:image/svg+xml;base64,AA=="
    assert image.attributes["alt"].startswith("A b. ")
    assert video.attributes["src"] == "data:video/mp4;base64,AA=="
    assert "Not on this page: big.png (larger than 8 MB)." in root.text


def test_warnings_stand_first() -> None:
    root = page(shown(warnings=("these numbers were changed",)))
    (warning,) = [each for each in root.all("p") if each.attributes.get("class") == "warning"]
    assert warning.text == "Mind: these numbers were changed"


def test_what_each_method_knows_stands_once() -> None:
    result = make_result()
    result["methods"] = {"gen-hyprl": {"knows": "the very prompt"}}
    assert page(shown(result)).text.count("the very prompt") == 1
    result["provenance"]["config"]["report"] = {"component": "AblationTable"}
    assert page(shown(result)).text.count("the very prompt") == 1


def test_everything_of_a_result_is_escaped() -> None:
    result = make_result()
    report = report_of(result)
    provenance = result["provenance"]
    provenance["config"]["title"] += HOSTILE
    result |= {name: result[name] + HOSTILE for name in ("recipe", "scale", "variant")}
    result["methods"] = {each: {"knows": HOSTILE} for each in ("expert", f"gen-hyprl{HOSTILE}")}
    for name in ("stores", "versions", "hardware", "date", "digest"):
        provenance[name] = hostile(provenance.get(name) or {"name": name})
    provenance["shipped"] = {
        "recipe": HOSTILE,
        "changes": [{"settings": [HOSTILE], "paths": [HOSTILE], "shipped": HOSTILE, "here": {HOSTILE: HOSTILE}}],
    }
    for row in (*result["rows"], *result["comparisons"]):
        row["variant"] = HOSTILE
    odd = [{**row, "method": HOSTILE, "task": HOSTILE, "protocol": HOSTILE} for row in result["rows"][:1]]
    result["rows"] += odd
    media = Media((Medium(f"{HOSTILE}.png", "data:image/png;base64,AA=="),), (HOSTILE,))
    root = page(
        Shown(Path("result.json"), result, report, media, HOSTILE, (HOSTILE,)), readings=(HOSTILE, f"# {HOSTILE}")
    )
    assert len(root.all("img")) == 1
    assert "alert(1)" in root.text


def commands(root: Element) -> str:
    return "\n".join(each.text for each in root.all("pre") if each.attributes["aria-label"] == "Commands")


def test_commands_hold_nothing_of_a_stranger() -> None:
    result = make_result()
    result["provenance"]["shipped"] = {"recipe": "table1 --scale desktop; rm -rf ~", "changes": []}
    assert "hyprepro run table1 --scale desktop" in commands(page(shown(result)))
    assert "rm -rf" not in commands(page(shown(result)))
    result["recipe"] = "table1; reboot"
    assert "reboot" not in commands(page(shown(result)))


@pytest.mark.parametrize(
    ("changes", "settings", "command"),
    [
        ([], "", "hyprepro run table1 --scale desktop"),
        ([{"settings": ["A.b"], "paths": ["a.b"], "shipped": 1, "here": 2}], "A.b = 2", f"hyprepro run {SETTINGS}"),
    ],
)
def test_how_to_repeat_it(changes: list[Any], settings: str, command: str) -> None:
    result = make_result()
    result["provenance"]["shipped"] = {"recipe": "table1 --scale desktop", "changes": changes}
    blocks = [each.text for each in page(shown(result, settings=settings)).all("pre")]
    assert any(command in block.splitlines() for block in blocks)
    assert settings in "".join(blocks)


def test_colours_have_contrast() -> None:
    style = page(shown()).all("style")[0].text
    colours = dict(re.findall(r"--(\w+): (#\w+);", style))
    for ink in ("ink", "soft", "mark"):
        assert contrast(colours[ink], "#ffffff") >= 4.5
        assert contrast(colours[ink], colours["tint"]) >= 4.5
    warning = re.search(r"blockquote, \.warning \{[^}]*background: (#\w+)", style)
    assert warning
    assert contrast(colours["ink"], warning[1]) >= 4.5
    assert contrast("#000", "#fff") == pytest.approx(21)
