from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyprepro.errors import UserError
from hyprepro.experiments.results import digest
from hyprepro.reports.records import Record, read_records, with_variant, write_records, zoo_label

SUCCESS = Record("gen-hyprl", "ours", 1, None, "seen", "door-open", "strict", 17, "fresh-4000017", True, 63, None)
RETURN = Record("expert", "ours", 0, 35, "test", "velocity-0.225", "paper", 3, "fresh-4000001", None, None, -12.3456)
HEADER = "method,variant,seed,n_train,split,task,protocol,policy,start,success,steps,total"
OLDER = {
    "method,variant,seed,split,task,protocol,policy,goal,success,steps": (
        "gen-hyprl,ours,1,seen,door-open,strict,17,fresh-4000017,1,63",
        SUCCESS,
    ),
    "method,variant,seed,split,n_train,velocity,policy,start,return": (
        "expert,ours,0,test,35,0.225,3,4000001,-12.3456",
        RETURN,
    ),
}
"""Headers of earlier forms, each with a line and the record that it is now."""
OF_SUCCESS, OF_RETURNS = OLDER


@settings(max_examples=20, deadline=None)
@given(
    scores=st.lists(
        st.tuples(st.booleans(), st.integers(0, 500), st.none())
        | st.tuples(st.none(), st.none(), st.floats(allow_nan=False, allow_infinity=False))
    ),
    name=st.sampled_from(["records.csv", "records.csv.gz"]),
)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    scores: list[tuple[bool | None, int | None, float | None]],
    name: str,
) -> None:
    path = tmp_path_factory.mktemp("records") / name
    records = [SUCCESS._replace(success=a, steps=b, total=c, policy=i) for i, (a, b, c) in enumerate(scores)]
    write_records(path, records)
    assert read_records(path) == records


def test_the_file_is_tidy_csv(tmp_path: Path) -> None:
    write_records(tmp_path / "records.csv", [SUCCESS, RETURN])
    assert (tmp_path / "records.csv").read_text().splitlines() == [
        HEADER,
        "gen-hyprl,ours,1,,seen,door-open,strict,17,fresh-4000017,1,63,",
        "expert,ours,0,35,test,velocity-0.225,paper,3,fresh-4000001,,,-12.3456",
    ]


def test_equal_records_are_equal_files(tmp_path: Path) -> None:
    for name in ("a.csv.gz", "b.csv.gz"):
        write_records(tmp_path / name, [SUCCESS] * 3)
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()


@pytest.mark.parametrize("header", OLDER)
def test_a_file_of_an_older_form_has_the_same_records(tmp_path: Path, header: str) -> None:
    line, record = OLDER[header]
    (tmp_path / "records.csv.gz").write_bytes(gzip.compress(f"{header}\n{line}\n".encode()))
    assert read_records(tmp_path / "records.csv.gz") == [record]


def test_a_number_of_training_tasks_may_be_absent_in_an_older_form(tmp_path: Path) -> None:
    (tmp_path / "records.csv").write_text(f"{OF_RETURNS}\nexpert,ours,0,test,,0.225,3,4000001,-12.3456\n")
    assert read_records(tmp_path / "records.csv") == [RETURN._replace(n_train=None)]


def test_a_variant_is_filled_in() -> None:
    assert with_variant([SUCCESS._replace(variant="")], "ours") == [SUCCESS]


@pytest.mark.parametrize("text", ["a,b,c\n1,2,3\n", ""])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "records.csv").write_text(text)
    with pytest.raises(UserError, match="not a records file") as caught:
        read_records(tmp_path / "records.csv")
    assert HEADER in caught.value.fix


@pytest.mark.parametrize(
    ("header", "line"),
    [
        (HEADER, "gen-hyprl,ours,1,,seen,door-open,strict,17,fresh-1,yes,63,"),
        (HEADER, "gen-hyprl,ours,1,,seen,door-open,strict,17,fresh-1,,63,"),
        (HEADER, "gen-hyprl,ours,1,few,seen,door-open,strict,17,fresh-1,1,63,"),
        (HEADER, "expert,ours,0,35,test,velocity-0.225,paper,3,fresh-1,,,nan"),
        (HEADER, "expert,ours,0,35,test,velocity-0.225,paper,3,fresh-1,,,-1e999"),
        (HEADER, "gen-hyprl,ours,1"),
        (HEADER, "gen-hyprl,ours,1,,seen,door-open,strict,17,fresh-1,1,63,,more"),
        (OF_SUCCESS, "gen-hyprl,ours,1,seen,door-open,strict,17,fresh-1,,63"),
        (OF_RETURNS, "expert,ours,0,test,35,fast,3,4000001,-2"),
        (OF_RETURNS, "expert,ours,0,test,35,0.225,3,4000001,"),
    ],
)
def test_a_malformed_line_is_refused_with_its_place(tmp_path: Path, header: str, line: str) -> None:
    good = {HEADER: "expert,ours,0,35,test,velocity-0.225,paper,3,fresh-1,,,-1"} | {k: v[0] for k, v in OLDER.items()}
    (tmp_path / "records.csv").write_text(f"{header}\n{good[header]}\n{line}\n")
    with pytest.raises(UserError, match="malformed") as caught:
        read_records(tmp_path / "records.csv")
    assert f"records.csv:3: {line}" in caught.value.where


@pytest.mark.parametrize("content", [None, b"\x1f\x8b garbage", b"plain"])
def test_a_missing_or_damaged_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "records.csv.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read"):
        read_records(path)


def test_records_that_expand_without_end_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyprepro.reports.records.MOST_BYTES", 10_000)
    (tmp_path / "records.csv.gz").write_bytes(gzip.compress(bytes(1_000_000)))
    with pytest.raises(UserError, match="cannot be read") as caught:
        read_records(tmp_path / "records.csv.gz")
    assert "more than 10000 bytes" in caught.value.where


def test_zoos_have_a_column_only_where_one_is_named(tmp_path: Path) -> None:
    records = [SUCCESS._replace(zoo="parent"), SUCCESS._replace(zoo=zoo_label("independent", "unseen"))]
    path = tmp_path / "records.csv"
    write_records(path, records)
    lines = path.read_text().splitlines()
    assert lines[0] == f"{HEADER},zoo"
    assert [line.rpartition(",")[2] for line in lines[1:]] == ["parent", "independent/unseen"]
    assert read_records(path) == records


def test_a_digest_of_records_without_zoos_is_what_it_was() -> None:
    assert SUCCESS.written == tuple(SUCCESS)[:-1]
    assert SUCCESS._replace(zoo="parent").written[-1] == "parent"
    assert digest([SUCCESS], [], []) == digest([tuple(SUCCESS)[:-1]], [], [])
