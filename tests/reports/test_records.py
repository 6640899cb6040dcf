from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyprepro.errors import UserError
from hyprepro.reports.records import Record, read_records, with_variant, write_records

RECORD = Record("gen-hyprl", "ours", 1, "seen", "door-open", "strict", 17, "fresh-4000017", True, 63)


@settings(max_examples=20, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99), st.booleans(), st.integers(0, 500))),
    name=st.sampled_from(["records.csv", "records.csv.gz"]),
)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, bool, int]], name: str
) -> None:
    path = tmp_path_factory.mktemp("records") / name
    records = [RECORD._replace(seed=a, policy=b, success=c, steps=d) for a, b, c, d in rows]
    write_records(path, records)
    assert read_records(path) == records


def test_the_file_is_tidy_csv(tmp_path: Path) -> None:
    write_records(tmp_path / "records.csv", [RECORD])
    header, row = (tmp_path / "records.csv").read_text().splitlines()
    assert header == "method,variant,seed,split,task,protocol,policy,goal,success,steps"
    assert row == "gen-hyprl,ours,1,seen,door-open,strict,17,fresh-4000017,1,63"


def test_equal_records_are_equal_files(tmp_path: Path) -> None:
    for name in ("a.csv.gz", "b.csv.gz"):
        write_records(tmp_path / name, [RECORD] * 3)
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()


def test_a_variant_is_filled_in() -> None:
    assert with_variant([RECORD._replace(variant="")], "ours") == [RECORD]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a,b,c\n1,2,3\n", "records.csv"),
        ("", "records.csv"),
        (",".join(Record._fields) + "\ngen-hyprl,ours,1,seen,door-open,strict,17,fresh-1,yes,63\n", "records.csv:2"),
        (",".join(Record._fields) + "\ngen-hyprl,ours,1\n", "records.csv:2"),
    ],
)
def test_another_file_is_refused_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / "records.csv").write_text(text)
    with pytest.raises(UserError) as caught:
        read_records(tmp_path / "records.csv")
    assert place in caught.value.where


@pytest.mark.parametrize("content", [None, b"\x1f\x8b garbage", b"plain"])
def test_a_missing_or_damaged_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "records.csv.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read"):
        read_records(path)
