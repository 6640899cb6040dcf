"""Principal components, and the stages behind Figure 4 on tiny stores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hyprepro.engine.cache import ArtifactCache
from hyprepro.errors import UserError
from hyprepro.experiments.latent_recipe import LatentRecipe
from hyprepro.experiments.latents import Projection
from hyprepro.reports.latents import TRUE, LatentRecord, read_latents, write_latents
from tests.cheetah_stores import CheetahStores
from tests.conftest import TinyStores
from tests.gen_hyprl.test_stages import WHOLE, WITHOUT, make


def test_components_of_a_known_ellipse() -> None:
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    points = np.stack([1.0 + 0.5 * np.sin(angle), 3.0 + 2.0 * np.cos(angle), np.full(40, 7.0)], axis=1)
    found = Projection.fit(points, components=16)
    assert len(found.axes) == 2, "the third coordinate does not vary"
    np.testing.assert_allclose(found.center, [1, 3, 7])
    np.testing.assert_allclose(found.axes, [[0, 1, 0], [1, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(found.coordinates(np.array([[1.0, 5.0, 7.0]])), [[2, 0]], atol=1e-12)
    np.testing.assert_allclose(found.outside(np.array([[9.0, 9.0, 4.0]])), [3.0])


def test_at_most_so_many_components_and_at_least_two() -> None:
    points = np.random.default_rng(0).normal(size=(20, 6))
    assert Projection.fit(points, 3).axes.shape == (3, 6)
    line = np.outer(np.arange(5.0), np.ones(4))
    assert Projection.fit(line, 8).axes.shape == (2, 4)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ArtifactCache:
    return ArtifactCache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def recipe(tiny_stores: TinyStores) -> LatentRecipe:
    return LatentRecipe(
        name="figure4", title="Toy", tasks=("reach", "door-open"), domain=tiny_stores.domain, methods=(WITHOUT, WHOLE),
        seeds=2, prompts_per_task=4, components=3,
    )  # fmt: skip


@pytest.fixture(scope="module")
def records(recipe: LatentRecipe, cache: ArtifactCache) -> list[LatentRecord]:
    (stage,) = recipe.targets(recipe.data())
    return stage.load(make(stage, cache))


def chosen(records: list[LatentRecord], method: str, seed: int = 0, task: str = "reach") -> list[LatentRecord]:
    return [r for r in records if (r.method, r.seed, r.task) == (method, seed, task)]


def test_one_record_a_latent(records: list[LatentRecord]) -> None:
    assert len(records) == 2 * 4 * (1 + 2 * 2)
    for method, seeds in ((TRUE, 1), ("gen-hyprl", 2), ("gen-hyprl-wo-hypformer", 2)):
        for seed in range(seeds):
            assert [r.prompt for r in chosen(records, method, seed)] == [0, 1, 2, 3]
    assert {len(r.at) for r in records} == {3}
    assert {r.split for r in records} == {"seen"}


def test_true_latents_span_the_components(records: list[LatentRecord]) -> None:
    # Two test policies a task: four points, which three components hold entirely.
    true = chosen(records, TRUE)
    assert all(r.outside < 1e-3 * r.distance for r in true)
    assert [r.policy for r in true] == [6, 7, 6, 7]
    assert true[0].at == true[2].at != true[1].at
    apart = np.linalg.norm(np.subtract(true[0].at, true[1].at))
    assert true[0].distance == pytest.approx(apart / 2, rel=1e-3)
    assert true[0].nearest == pytest.approx(apart, rel=1e-3)


def test_a_predicted_latents_distance_is_that_of_its_coordinates_and_what_lies_outside(
    records: list[LatentRecord],
) -> None:
    for seed in range(2):
        for mine, true in zip(chosen(records, "gen-hyprl", seed), chosen(records, TRUE), strict=True):
            inside = np.linalg.norm(np.subtract(mine.at, true.at))
            assert mine.distance == pytest.approx(np.hypot(inside, mine.outside), rel=1e-3)
            assert mine.nearest <= mine.distance
    assert chosen(records, "gen-hyprl", 0) != chosen(records, "gen-hyprl", 1)


def test_records_survive_a_file(records: list[LatentRecord], tmp_path: Path) -> None:
    write_latents(tmp_path / "latents.csv.gz", records)
    assert read_latents(tmp_path / "latents.csv.gz") == records
    assert (tmp_path / "latents.csv.gz").read_bytes()[4:8] == b"\0\0\0\0", "no time stamp"


@pytest.mark.parametrize(
    ("text", "says"),
    [("a,b\n", "not a file of latents"), ("{header},pc1\na,ours,0,seen,reach,zero,1,1,1,0,1\n", "malformed")],
)
def test_damaged_records_are_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "latents.csv"
    path.write_text(text.format(header=",".join(LatentRecord._fields[:-1])))
    with pytest.raises(UserError, match=says):
        read_latents(path)


def test_methods_of_different_autoencoders_are_refused(recipe: LatentRecipe) -> None:
    other = WHOLE.model_copy(update={"autoencoder": WHOLE.autoencoder.model_copy(update={"latent_size": 6})})
    with pytest.raises(UserError, match="different autoencoders"):
        recipe.model_copy(update={"methods": (WITHOUT, other)}).targets(recipe.data())


@pytest.mark.parametrize(
    ("update", "says"),
    [
        ({"tasks": ()}, "no tasks"),
        ({"tasks": ("reahc",)}, "no prompts of the task"),
        ({"tasks": ("reach", "reach")}, "stands twice"),
        ({"methods": (WHOLE, WHOLE)}, "stands twice"),
        ({"prompts_per_task": 50}, "5 test prompts"),
    ],
)
def test_what_the_stores_lack_is_refused_before_any_work(recipe: LatentRecipe, update: dict, says: str) -> None:
    with pytest.raises(UserError, match=says):
        recipe.model_copy(update=update).targets(recipe.data())


def test_a_domain_without_prompts_is_refused(recipe: LatentRecipe, cheetah_stores: CheetahStores) -> None:
    other = recipe.model_copy(update={"domain": cheetah_stores.domain, "tasks": ("velocity-1.200",)})
    with pytest.raises(UserError, match="told by a velocity, and LatentRecipe needs prompts"):
        other.targets(other.data())


def test_validation_prompts_have_the_latents_of_their_own_policies(recipe: LatentRecipe, cache: ArtifactCache) -> None:
    (stage,) = recipe.model_copy(update={"prompt_split": "validation", "seeds": 1}).targets(recipe.data())
    with recipe.domain.open_trajectories() as store:
        rows = store.table("reach")["policy_row"][store.ids("reach", "validation")]
    records = stage.load(make(stage, cache))
    assert [r.policy for r in chosen(records, TRUE)] == list(rows[:4])


def test_tasks_without_training_policies_are_unseen(recipe: LatentRecipe) -> None:
    without = recipe.model_copy(update={"withheld": ("reach",)})
    (stage,) = without.targets(without.data())
    assert stage.splits == ("unseen", "seen")
