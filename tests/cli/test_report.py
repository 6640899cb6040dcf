"""`hyprepro report`: committed results as pages, what it refuses, and what a real browser makes of a page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hyprepro.experiments.results import digest
from hyprepro.reports.records import write_records
from tests.reports.synthetic import make_records, make_result
from tests.reports.web.pages import Element, assert_sound, read
from tests.reports.web.test_media import MP4, PNG

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a finished run."""
    return written(tmp_path / "run", make_result())


def written(folder: Path, result: dict[str, Any]) -> Path:
    folder.mkdir()
    records = make_records()
    write_records(folder / "records.csv.gz", records)
    result["digest"] = digest(records, result["rows"], result["comparisons"])
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def opened(path: Path) -> Element:
    root = read(path.read_bytes())
    assert_sound(root)
    return root


def test_table_2_with_its_figure_is_a_sound_page_of_less_than_3_mb(hyprepro, tmp_path: Path) -> None:
    out = tmp_path / "new" / "table2.html"
    found = hyprepro("report", RESULTS / "table2" / "desktop", "--out", out, "--json")
    assert found.code == 0, found.stderr
    assert found.json["bytes"] == out.stat().st_size < 3_000_000
    root = opened(out)
    (image,) = root.all("img")
    assert image.attributes["src"].startswith("data:image/svg+xml;base64,")
    heads = [each.text for each in root.all("h2")]
    assert "What the results say: Results" in heads  # the reading of the folder of references
    assert not [each for each in root.all("p") if each.attributes.get("class") == "warning"]
    values = next(table for table in root.all("table") if table.all("caption")[0].text == "What made these numbers")
    assert "stores policies" in values.text
    assert "config" not in values.text


@pytest.mark.parametrize("recipe", ["figure4", "figure5", "ablation", "velocities", "baselines4"])
def test_every_kind_of_committed_result(hyprepro, tmp_path: Path, recipe: str) -> None:
    out = tmp_path / "page.html"
    assert hyprepro("report", RESULTS / recipe / "desktop" / "result.json", "--out", out).code == 0
    opened(out)


def test_several_results_on_one_page_and_a_recipe_for_its_committed_result(hyprepro, folder: Path) -> None:
    out = folder / "both.html"
    found = hyprepro("report", folder, "table4", "--out", out)
    assert found.code == 0, found.stderr
    titles = [each.text for each in opened(out).all("h2")]
    assert titles[0] == "Table 1"
    assert titles[1].startswith("Table 4")


def test_a_text_of_ones_own_stands_below(hyprepro, folder: Path) -> None:
    (folder / "mine.md").write_text("# My claims\n\nNone.\n")
    found = hyprepro("report", folder, "--reading", folder / "mine.md", "--out", folder / "page.html")
    assert found.code == 0, found.stderr
    assert "What the results say: My claims" in opened(folder / "page.html").text


def test_numbers_that_are_not_those_of_the_records_are_marked(hyprepro, folder: Path) -> None:
    result = json.loads((folder / "result.json").read_text())
    result["rows"][0].update(value=0.123, ci95=[0.1, 0.2])
    (folder / "result.json").write_text(json.dumps(result))
    assert hyprepro("report", folder, "--out", folder / "page.html").code == 0
    assert "do not give its digest" in opened(folder / "page.html").text


def test_what_is_left_out_is_said(hyprepro, folder: Path) -> None:
    (folder / "film.mp4").write_bytes(MP4)
    (folder / "figure.png").write_bytes(PNG)
    (folder / "page.svg").write_text("<svg><script/></svg>")
    found = hyprepro("report", folder, "--out", folder / "page.html")
    assert "page.svg (it holds scripts" in found.stderr
    root = opened(folder / "page.html")
    assert (len(root.all("video")), len(root.all("img"))) == (1, 1)


def test_refusals_are_one_panel_and_leave_no_page(hyprepro, folder: Path, tmp_path: Path) -> None:
    def refused(*arguments: object) -> str:
        out = tmp_path / "never.html"
        words = hyprepro("report", *arguments, "--out", out).assert_one_panel().words
        assert not out.exists()
        return words

    (tmp_path / "empty").mkdir()
    assert "There is no result here." in refused(folder, tmp_path / "empty")
    assert "There is no result here." in refused(tmp_path / "nowhere" / "result.json")
    assert "closest table1" in refused("tabel1")
    bare = shutil.copytree(folder, tmp_path / "bare")
    (bare / "records.csv.gz").unlink()
    assert "This result has no records" in refused(bare)
    write_records(bare / "records.csv.gz", [])
    assert "This result has no records" in refused(bare)
    (bare / "records.csv.gz").write_bytes(b"damaged")
    assert "The records cannot be read" in refused(bare)
    newer = written(tmp_path / "newer", make_result(schema=2))
    assert "its schema is 2, this version reads 1" in refused(newer)
    edited = make_result()
    edited["provenance"]["config"]["report"] = {"component": "Exotic"}
    assert "does not say how it is reported" in refused(written(tmp_path / "edited", edited))
    senseless = make_result(rows=[], comparisons=[])
    assert "does not fit its own report" in refused(written(tmp_path / "senseless", senseless))
    assert "The text cannot be read" in refused(folder, "--reading", tmp_path / "no.md")
    assert "A folder stands where" in hyprepro("report", folder, "--out", folder).assert_one_panel().words


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (apt-get install chromium)")
def test_a_browser_shows_all_of_it_on_a_phone(hyprepro, tmp_path: Path) -> None:
    """In a frame of a phone's width nothing but tables and figures is wider, and every picture is drawn."""
    assert hyprepro("report", "table2", "figure4", "--out", tmp_path / "page.html").code == 0
    (tmp_path / "frame.html").write_text(
        "<iframe src='page.html' style='width:390px;height:800px;border:0'></iframe><p id='told'></p><script>"
        "onload = () => { const page = document.querySelector('iframe').contentWindow, root = page.document;"
        "document.getElementById('told').textContent = JSON.stringify({"
        "width: root.documentElement.scrollWidth, text: root.body.innerText.length,"
        "drawn: [...root.images].map(each => each.complete && each.naturalWidth > 100),"
        "loaded: page.performance.getEntriesByType('resource').filter(each => !each.name.startsWith('data:')).length,"
        "}) }</script>"
    )
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files"]
    done = subprocess.run(
        [CHROMIUM, *options, f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=10000", "--dump-dom",
         (tmp_path / "frame.html").as_uri()],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    (told,) = re.findall(r'<p id="told">(.*?)</p>', done.stdout)
    told = json.loads(told)
    assert told.pop("text") > 5000
    assert told.pop("width") <= 390
    assert told == {"drawn": [True, True], "loaded": 0}
