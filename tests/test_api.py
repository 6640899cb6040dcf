"""The Python face, as the user of a notebook meets it."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import hyprepro
from hyprepro.domains.base import Start
from hyprepro.stores.policy_store import PolicyStore
from hyprepro.stores.trajectory_store import Episode
from tests.cheetah_stores import CheetahStores
from tests.conftest import TinyStores

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that the tests here share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def load(tiny_stores: TinyStores, cache: Path) -> Callable[..., hyprepro.Generator]:
    """`hyprepro.load` with the tiny stores, at smoke scale."""

    def call(recipe: str = "table1", **options: object) -> hyprepro.Generator:
        bindings = [
            f"MetaWorld.policies='{tiny_stores.policies}'",
            f"MetaWorld.trajectories='{tiny_stores.trajectories}'",
        ]
        return hyprepro.load(recipe, **{"scale": "smoke", "cache": cache, "bindings": bindings, **options})

    return call


@pytest.fixture(scope="module")
def generator(load: Callable[..., hyprepro.Generator]) -> hyprepro.Generator:
    """Gen-HypRL, trained."""
    return load(train=True)


@pytest.fixture(scope="module")
def velocities(cheetah_stores: CheetahStores, cache: Path) -> hyprepro.Generator:
    """Gen-HypRL on Cheetah-Vel, trained."""
    return hyprepro.load("table4", scale="smoke", cache=cache, bindings=cheetah_stores.bindings[1::2], train=True)


@pytest.fixture(scope="module")
def episode(tiny_stores: TinyStores) -> Episode:
    with hyprepro.open_store(tiny_stores.trajectories) as store:
        return store.episode("reach", int(store.ids("reach", "test")[0]))


@pytest.fixture(scope="module")
def demonstration(episode: Episode) -> hyprepro.Demonstration:
    return hyprepro.Demonstration(episode.observations, episode.actions, episode.success_step)


def refused(call: Callable[[], object], what: str) -> hyprepro.UserError:
    with pytest.raises(hyprepro.UserError, match=what) as caught:
        call()
    assert caught.value.fix
    return caught.value


def test_importing_hyprepro_imports_nothing_more() -> None:
    program = "import sys; before = set(sys.modules); import hyprepro; print(*sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["hyprepro"]


def test_what_is_offered_is_there_and_nothing_else() -> None:
    assert set(hyprepro.__all__) <= set(dir(hyprepro))
    assert all(getattr(hyprepro, name).__name__ for name in hyprepro.__all__)
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        hyprepro.laod  # noqa: B018


@pytest.mark.sim
@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_the_lines_of_a_page(
    page: str,
    tiny_stores: TinyStores,
    cheetah_stores: CheetahStores,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("stable_baselines3")
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "stores").mkdir()
    names = {
        "metaworld.policies": tiny_stores.policies,
        "metaworld.trajectories": tiny_stores.trajectories,
        "cheetah-vel.policies": cheetah_stores.policies,
        "cheetah-vel.trajectories": cheetah_stores.trajectories,
        "cheetah-vel-parent.policies": cheetah_stores.parents,
    }
    for name, path in names.items():
        (tmp_path / "stores" / f"{name}.h5").symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYPREPRO_CACHE", str(cache))
    exec(compile(block, page, "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    if page != "README.md":
        assert printed
        return
    assert re.fullmatch(r"<success_rate [\d.]+ on reach: 2 policies, 2 starts each>", printed[0])
    assert re.fullmatch(r"<return -[\d.]+ on velocity-1\.200: 3 policies, 5 starts each>", printed[1])
    with hyprepro.open_store("reach.policies.h5") as store:
        assert isinstance(store, PolicyStore)
        assert (store.count("reach"), store.route["recipe"], store.verify()) == (2, "table1", [])
    assert (tmp_path / "reach.zip").is_file()


def test_every_form_of_a_demonstration_gives_the_same_policies(
    generator: hyprepro.Generator, episode: Episode, demonstration: hyprepro.Demonstration, tmp_path: Path
) -> None:
    named = generator.generate(episode)
    np.savez(tmp_path / "mine.npz", **dict(zip(("observations", "actions", "success"), demonstration, strict=False)))
    for form in (demonstration, str(tmp_path / "mine.npz")):
        np.testing.assert_array_equal(generator.generate(form, task="reach").params, named.params)
    assert (named.task, named.params.shape) == ("reach", (1, named.controllers.layout.size))
    several = generator.generate(demonstration, task="reach", n=3)
    assert len(np.unique(several.params, axis=0)) == 3


def test_generating_leaves_the_random_numbers_of_the_program_alone(
    generator: hyprepro.Generator, demonstration: hyprepro.Demonstration
) -> None:
    random.seed(1)
    torch.manual_seed(1)
    states = random.getstate(), torch.get_rng_state(), torch.get_num_threads()
    generator.generate(demonstration)
    assert random.getstate() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])
    assert torch.get_num_threads() == states[2]


def test_training_leaves_them_alone_too(load: Callable[..., hyprepro.Generator], tmp_path: Path) -> None:
    np.random.seed(1)  # noqa: NPY002 -- as old notebooks do
    random.seed(1)
    load(method="mse-regressor", cache=tmp_path, train=True)
    found = random.random(), float(np.random.random())  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    assert found == (random.random(), float(np.random.random()))  # noqa: NPY002


def test_policies_act_as_their_controllers_do(generator: hyprepro.Generator, episode: Episode) -> None:
    policies = generator.generate(episode, n=2)
    observations = episode.observations[[0, 9]]
    both = policies.act(observations)
    assert both.shape == (2, 4)
    for row in range(2):
        np.testing.assert_allclose(policies.act(observations[row], policy=row), both[row], rtol=1e-5, atol=1e-6)
    assert np.abs(policies.act(observations[0]) - policies.act(observations[0], policy=1)).max() > 0
    refused(lambda: policies.act(observations[0][:36]), r"\[36\]; expected \[39\]")
    refused(lambda: policies.act(observations[0], policy=2), "no policy 2")


def test_policies_there_and_back_through_a_store(
    generator: hyprepro.Generator, episode: Episode, tmp_path: Path
) -> None:
    policies = generator.generate(episode, n=2)
    policies.save(tmp_path / "mine.h5")
    found = hyprepro.Policies.load(tmp_path / "mine.h5")
    np.testing.assert_array_equal(found.params, policies.params)
    assert (found.task, found.domain.label) == ("reach", "metaworld")
    refused(lambda: policies.save(tmp_path / "mine.h5"), "exists already")
    assert refused(lambda: hyprepro.Policies.load(tmp_path / "mine.h5", "raech"), "no task").closest == "reach"


def test_a_task_of_nobody_is_saved_but_not_run(
    generator: hyprepro.Generator, demonstration: hyprepro.Demonstration, tmp_path: Path
) -> None:
    policies = generator.generate(demonstration)
    policies.save(tmp_path / "mine.h5")
    assert hyprepro.Policies.load(tmp_path / "mine.h5").task == "demonstration"
    refused(policies.evaluate, "Nobody said which task")
    refused(hyprepro.Policies.load(tmp_path / "mine.h5").evaluate, "Nobody said which task")


@pytest.mark.sim
def test_what_was_measured_is_saved(velocities: hyprepro.Generator, tmp_path: Path) -> None:
    policies = velocities.generate(1.2, n=2)
    measured = policies.evaluate(starts=3)
    assert measured.values.shape == (2, 3)
    assert measured.mean == pytest.approx(measured.values.sum() / 6)
    again = policies.evaluate([Start("fresh", 4_000_000)])
    assert again.values.shape == (2, 1)
    policies.save(tmp_path / "mine.h5", measured)
    with PolicyStore.open(tmp_path / "mine.h5") as store:
        meta = store.meta("velocity-1.200")
        np.testing.assert_allclose(meta["return"], measured.values.mean(axis=1), rtol=1e-6)
        assert meta["episodes"].tolist() == [3, 3]
        assert np.isnan(meta["success"]).all()
    refused(lambda: policies.evaluate(0), "0 starts")


def test_any_velocity_in_the_range(velocities: hyprepro.Generator) -> None:
    assert velocities.generate(1.234).task == "velocity-1.234"
    assert len(velocities.generate(np.float32(2), n=4)) == 4
    assert refused(lambda: velocities.generate(3.5), "lies outside 0 to 3").closest == "3"
    assert refused(lambda: velocities.generate(-1), "lies outside 0 to 3").closest == "0"
    refused(lambda: velocities.generate(float("nan")), "nan lies outside")
    refused(lambda: velocities.generate([1.0, 2.0]), "told its velocity")
    refused(lambda: velocities.generate("1.2"), "told its velocity")
    refused(lambda: velocities.generate(True), "told its velocity")
    refused(lambda: velocities.generate(1.2, task="reach"), "a task of its own")


def test_the_other_kind_of_condition_is_refused(
    generator: hyprepro.Generator, velocities: hyprepro.Generator, demonstration: hyprepro.Demonstration
) -> None:
    refused(lambda: velocities.generate(demonstration), "told its velocity, and shown no demonstration")
    refused(lambda: generator.generate(1.2), "shown a demonstration, and told no number")


def test_mistakes_in_what_is_asked(generator: hyprepro.Generator, demonstration: hyprepro.Demonstration) -> None:
    assert refused(lambda: generator.generate(demonstration, task="raech"), "task 'raech'").closest == "reach"
    refused(lambda: generator.generate(demonstration, n=0), "0 policies")
    short = hyprepro.Demonstration(*(part[:40] for part in demonstration[:2]), 3)
    refused(lambda: generator.generate(short, task="reach"), "fewer than 60 steps")


def test_mistakes_in_what_is_loaded(load: Callable[..., hyprepro.Generator]) -> None:
    assert refused(lambda: load("tabel1"), "no recipe").closest == "table1"
    assert refused(lambda: load(method="gen-hyprll"), "no method").closest == "gen-hyprl"
    refused(lambda: load(seed=7), "no generator seed 7")
    refused(lambda: load("figure4", bindings=()), "not a recipe whose methods")


def test_what_is_not_trained_is_answered_with_the_command_that_trains_it(
    load: Callable[..., hyprepro.Generator], tmp_path: Path
) -> None:
    error = refused(lambda: load(cache=tmp_path / "empty"), "gen-hyprl, seed 0, is not trained")
    assert error.fix.startswith("hyprepro run table1 --scale smoke -b ")
    assert f"--cache {tmp_path / 'empty'}" in error.fix
    assert not (tmp_path / "empty").exists()


def test_other_methods_do_what_they_can(
    load: Callable[..., hyprepro.Generator], demonstration: hyprepro.Demonstration
) -> None:
    cloning = load(method="prompt-cloning", train=True).generate(demonstration)
    assert len(cloning) == 1
    expert = load(method="expert")
    refused(lambda: expert.generate(demonstration, task="reach"), "are not stored")
    refused(lambda: expert.save("nowhere"), "trains nothing")


def test_a_saved_generator_is_loaded_from_its_folder(
    load: Callable[..., hyprepro.Generator],
    generator: hyprepro.Generator,
    demonstration: hyprepro.Demonstration,
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("mine")
    refused(lambda: generator.save(tmp_path / "file"), "A file stands where a folder is needed")
    generator.save(tmp_path / "mine")
    generator.save(tmp_path / "mine")
    found = load(cache=tmp_path / "mine")
    np.testing.assert_array_equal(found.generate(demonstration).params, generator.generate(demonstration).params)
    (part,) = (path for path in (tmp_path / "mine").rglob("*.safetensors") if "hypformer" in str(path))
    part.chmod(0o644)
    content = bytearray(part.read_bytes())
    content[-1] ^= 0xFF
    part.unlink()
    part.write_bytes(content)
    refused(lambda: load(cache=tmp_path / "mine"), "is not trained")


def test_a_policy_acts_alike_in_stable_baselines3(
    generator: hyprepro.Generator, velocities: hyprepro.Generator, episode: Episode
) -> None:
    pytest.importorskip("stable_baselines3")
    policies = generator.generate(episode, n=2)
    theirs, _ = policies.to_sb3(policy=1).predict(episode.observations[0], deterministic=True)
    np.testing.assert_allclose(theirs, policies.act(episode.observations[0], policy=1), rtol=1e-4, atol=1e-5)
    ours, observation = velocities.generate(1.2, n=1), np.linspace(-1, 1, 17, dtype=np.float32)
    theirs, _ = ours.to_sb3().predict(observation, deterministic=True)
    np.testing.assert_allclose(theirs, ours.act(observation), rtol=1e-4, atol=1e-5)
