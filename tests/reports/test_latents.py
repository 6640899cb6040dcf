"""Distances between clouds of latents, against values computed by hand."""

from __future__ import annotations

import pytest

from hyprepro.errors import UserError
from hyprepro.reports.check import check
from hyprepro.reports.latents import TRUE, LatentRecord, summarise_latents
from tests.reports.figures.synthetic import latent_records, latents_result

Points = list[tuple[float, float]]
TRUTH: Points = [(-1.0, 0.0), (1.0, 0.0)]  # spread 1


def records_of(method: str, points: Points, distances: list[float], nearest: list[float], seed: int = 0):
    return [
        LatentRecord(method, "ours", seed, "seen", "reach", row, row, distances[row], nearest[row], 0.0, at)
        for row, at in enumerate(points)
    ]


def value(records: list[LatentRecord], statistic: str, task: str | None = "reach") -> float:
    rows = summarise_latents(records, resamples=20).rows
    found = [row for row in rows if row["statistic"] == statistic and row["task"] == task]
    assert len(found) == 1
    return float(found[0]["value"])


TRUE_RECORDS = records_of(TRUE, TRUTH, [1.0, 1.0], [2.0, 2.0])


def test_by_hand() -> None:
    # Both are shifted by 1 to the right: the first lies in the middle, the second beside its own latent.
    records = TRUE_RECORDS + records_of("gen-hyprl", [(0.0, 0.0), (2.0, 0.0)], [1.0, 1.0], [1.0, 1.0])
    assert value(records, "own") == 1.0
    assert value(records, "nearest") == 1.0
    assert value(records, "centroid") == 1.0
    # E|X - Y| = (1 + 1 + 3 + 1) / 4 = 1.5; E|X - X'| = E|Y - Y'| = (0 + 2 + 2 + 0) / 4 = 1.
    assert value(records, "energy") == 2 * 1.5 - 1 - 1
    assert value(records, "own", None) == 1.0


def test_distances_are_relative_to_the_spread() -> None:
    wide = records_of(TRUE, [(-2.0, 0.0), (2.0, 0.0)], [2.0, 2.0], [4.0, 4.0])
    records = wide + records_of("gen-hyprl", [(0.0, 0.0), (4.0, 0.0)], [2.0, 2.0], [2.0, 2.0])
    assert [value(records, name) for name in ("own", "nearest", "centroid", "energy")] == [1.0, 1.0, 1.0, 1.0]


def test_swapped_latents_are_far_from_their_own_and_make_the_same_cloud() -> None:
    records = TRUE_RECORDS + records_of("gen-hyprl", TRUTH[::-1], [2.0, 2.0], [0.0, 0.0])
    assert [value(records, name) for name in ("own", "nearest", "centroid", "energy")] == [2.0, 0.0, 0.0, 0.0]


def test_seeds_are_averaged() -> None:
    one = records_of("gen-hyprl", TRUTH, [0.0, 0.0], [0.0, 0.0])
    two = records_of("gen-hyprl", TRUTH, [1.0, 1.0], [0.0, 0.0], seed=1)
    assert value(TRUE_RECORDS + one + two, "own") == 0.5


def test_rows_have_the_schemas_fields_and_pair_the_methods() -> None:
    summary = summarise_latents(latent_records(), resamples=100)
    row = summary.rows[0]
    assert (row["metric"], row["n_policies"], row["n_episodes"], row["n_seeds"]) == ("latent_distance", 6, 0, 2)
    assert all(low <= high for low, high in (row["ci95"] for row in summary.rows))
    gains = {(row["task"], row["statistic"]): row for row in summary.comparisons}
    assert set(gains) == {
        (t, s) for t in ("door-open", "reach", None) for s in ("own", "nearest", "centroid", "energy")
    }
    assert gains[None, "own"]["ci95"][1] < 0, "HypFormer's latents were made closer"


def test_values_lie_in_their_intervals_also_where_clouds_are_equal() -> None:
    records = [record for record in latent_records(prompts=30) if record.method == TRUE]
    same = [record._replace(method="gen-hyprl", prompt=29 - record.prompt, distance=1.0) for record in records]
    summary = summarise_latents([*records, *sorted(same, key=lambda record: (record.task, record.prompt))])
    centroids = [row for row in summary.rows if row["statistic"] == "centroid"]
    assert [row["value"] for row in centroids] == pytest.approx([0.0, 0.0, 0.0], abs=1e-6)
    for row in summary.rows:
        low, high = row["ci95"]
        assert 0.0 <= low <= row["value"] <= high


def test_more_prompts_narrow_the_interval() -> None:
    def width(prompts: int) -> float:
        rows = summarise_latents(latent_records(prompts=prompts), resamples=200).rows
        low, high = next(row["ci95"] for row in rows if row["task"] is None and row["statistic"] == "own")
        return float(high - low)

    assert width(100) < width(5)


def test_incomplete_records_are_refused() -> None:
    with pytest.raises(UserError, match="incomplete"):
        summarise_latents(latent_records()[:-1])
    short = [record for record in latent_records() if (record.task, record.seed) != ("reach", 1)]
    with pytest.raises(UserError, match="tasks differ in their generator seeds"):
        summarise_latents(short)
    with pytest.raises(UserError, match="empty"):
        summarise_latents([])


def test_one_policy_a_task_has_no_spread_and_still_gives_numbers() -> None:
    alone = records_of(TRUE, [(1.0, 1.0), (1.0, 1.0)], [0.0, 0.0], [0.0, 0.0])
    assert value(alone + records_of("gen-hyprl", [(1.0, 2.0), (1.0, 2.0)], [1.0, 1.0], [1.0, 1.0]), "centroid") == 1.0


def test_the_check_sees_a_distance_that_moved() -> None:
    committed, fresh = (latents_result(latent_records()) for _ in range(2))
    for result in (committed, fresh):
        result["provenance"]["config"]["data"] = {}
    assert check(committed, fresh) == []
    for row in fresh["rows"]:
        row["value"] += 1.0
        row["ci95"] = [end + 1.0 for end in row["ci95"]]
    assert "gen-hyprl, reach, latents protocol, own" in "\n".join(check(committed, fresh))
