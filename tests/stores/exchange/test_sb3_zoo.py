"""A folder of stable-baselines3's agents with a table of their conditions: of any sizes, bounds and algorithms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from typer.testing import CliRunner

from hyprepro.cli import app
from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.policies.controllers import PolicyControllers
from hyprepro.policies.forward import StackedPolicies
from hyprepro.stores.exchange import sb3
from hyprepro.stores.policy_store import PolicyStore

stable_baselines3 = pytest.importorskip("stable_baselines3")

BOUNDS = np.array([[-2.0, 0.1, -0.5], [2.0, 0.7, 3.0]], dtype=np.float32)


class Spaces(gymnasium.Env[Any, Any]):
    def __init__(self, observations: int, low: Any, high: Any) -> None:
        self.observation_space = Box(-np.inf, np.inf, (observations,), np.float64)
        self.action_space = Box(np.asarray(low, np.float32), np.asarray(high, np.float32))


def agent(algorithm: str, observations: int = 5, ends: Any = BOUNDS, seed: int = 0, **kwargs: Any) -> Any:
    more: dict[str, Any] = {"buffer_size": 10} if algorithm in ("SAC", "TD3") else {}
    make = getattr(stable_baselines3, algorithm)
    env = Spaces(observations, *ends)
    return make("MlpPolicy", env, policy_kwargs=kwargs, device="cpu", seed=seed, **more)


@pytest.mark.parametrize("widths", [[9, 7], [6, 8, 5], [4, 4, 4, 4]])
@pytest.mark.parametrize("algorithm", ["SAC", "TD3", "PPO"])
def test_an_imported_agent_acts_as_its_own_predict(tmp_path: Path, algorithm: str, widths: list[int]) -> None:
    model = agent(algorithm, net_arch=widths)
    with torch.no_grad():
        for parameter in model.policy.parameters():  # fresh policies of PPO hardly act
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    model.save(tmp_path / "agent.zip")
    sb3.import_sb3([tmp_path / "agent.zip"], tmp_path / "p.h5", "mine")
    observations = np.random.default_rng(0).normal(0, 2, (200, 5)).astype(np.float32)
    theirs = model.predict(observations, deterministic=True)[0]
    with PolicyStore.open(tmp_path / "p.h5") as store:
        layout, params = store.layout, store.read("mine", [0])
    assert (layout.widths, layout.squash) == (tuple(widths), "clip" if algorithm == "PPO" else "tanh")
    np.testing.assert_allclose(layout.bounds, BOUNDS.T)
    ours = StackedPolicies(layout, params).means(torch.from_numpy(observations))[0].numpy()
    assert np.abs(ours).max() <= 1
    np.testing.assert_allclose(layout.to_environment(ours), theirs, atol=2e-5)
    session = PolicyControllers(layout, params).session(1)
    session.assign(0, 0)
    acted = np.concatenate([layout.to_environment(session.act(row[None])) for row in observations])
    np.testing.assert_allclose(acted, theirs, atol=2e-5)
    cut = ((theirs <= BOUNDS[0]) | (theirs >= BOUNDS[1])).mean()
    assert algorithm != "PPO" or 0.05 < cut < 1, "some of these actions are cut off, and not all"


def test_the_noise_of_an_agent_is_kept(tmp_path: Path) -> None:
    model = agent("PPO", net_arch=[6, 6], log_std_init=-1.5)
    model.save(tmp_path / "agent.zip")
    found = sb3.read_sb3(tmp_path / "agent.zip")
    parts = found.layout.split(found.params)
    np.testing.assert_allclose(np.exp(parts["log_std.bias"]) * (BOUNDS[1] - BOUNDS[0]) / 2, np.exp(-1.5), rtol=1e-5)
    assert not parts["log_std.weight"].any()


def test_an_agent_of_another_size_goes_there_and_back(tmp_path: Path) -> None:
    model = agent("SAC", net_arch=[6, 8, 5], activation_fn=torch.nn.Tanh)
    model.save(tmp_path / "agent.zip")
    sb3.import_sb3([tmp_path / "agent.zip"], tmp_path / "p.h5", "mine")
    with PolicyStore.open(tmp_path / "p.h5") as store:
        sb3.export_sb3(store, "mine", 0, tmp_path / "back.zip")
    observations = np.random.default_rng(0).normal(0, 1, (20, 5)).astype(np.float32)
    back = stable_baselines3.SAC.load(tmp_path / "back.zip", device="cpu")
    assert back.action_space == model.action_space
    theirs, ours = (each.predict(observations, deterministic=True)[0] for each in (model, back))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six agents of Cheetah-Vel's sizes, of three velocities, one of them for testing."""
    folder = tmp_path_factory.mktemp("zoo")
    for number in range(6):
        model = agent("TD3", 17, [-np.ones(6), np.ones(6)], seed=number, net_arch=[8, 8])
        model.save(folder / f"agent-{number}.zip")
    (folder / "README.txt").write_text("no agent")
    return folder


NUMBERS = "file,velocity\n" + "".join(f"agent-{n}.zip,{(1.5, 1.2, 0.375)[n % 3]}\n" for n in range(6))
TASKS = "file,task\n" + "".join(f"agent-{n}.zip,{'ab'[n % 2]}\n" for n in range(6))


def imported(folder: Path, table: str, tmp_path: Path, *more: str) -> Any:
    path = tmp_path / "conditions.csv"
    path.write_text(table, encoding="utf-8")
    out = ("--conditions", str(path), "--out", str(tmp_path / "zoo.h5"), *more)
    return CliRunner().invoke(app, ["store", "import-sb3", str(folder), *out])


def test_numbers_become_the_domains_tasks(zoo: Path, tmp_path: Path) -> None:
    done = imported(zoo, NUMBERS, tmp_path, "--domain", "CheetahVel")
    assert done.exit_code == 0, done.output
    assert "6 policies of 3 tasks" in done.output
    with CheetahVel(policies=str(tmp_path / "zoo.h5"), trajectories="", checked=False).open_policies() as store:
        assert set(store.tasks) == {"velocity-0.375", "velocity-1.200", "velocity-1.500"}
        assert store.meta("velocity-1.200")["split"].tolist() == ["test"] * 2
        assert store.meta("velocity-1.500")["split"].tolist() == ["train"] * 2
        for row, number in enumerate((0, 3)):
            np.testing.assert_array_equal(
                store.read("velocity-1.500", [row])[0], sb3.read_sb3(zoo / f"agent-{number}.zip").params
            )


def test_tasks_need_no_domain(zoo: Path, tmp_path: Path) -> None:
    assert imported(zoo, "\ufeff" + TASKS + "\n", tmp_path).exit_code == 0
    with PolicyStore.open(tmp_path / "zoo.h5") as store:
        assert {task: store.count(task) for task in store.tasks} == {"a": 3, "b": 3}


BAD = {
    "a missing row": (NUMBERS.replace("agent-3.zip,1.5\n", ""), "1 files of the folder have no line"),
    "no row": ("file,velocity\n", "6 files of the folder have no line"),
    "a doubled row": (NUMBERS + "agent-3.zip,1.2\n", "agent-3.zip has two lines"),
    "an unknown file": (NUMBERS + "agent-9.zip,1.2\n", "no file 'agent-9.zip'"),
    "a path": (NUMBERS.replace("agent-3", "../zoo/agent-3"), "no file '../zoo/agent-3.zip'"),
    "another file": (NUMBERS + "README.txt,1.2\n", "no file 'README.txt'"),
    "outside the range": (NUMBERS.replace("0.375", "3.1"), "outside 0 to 3"),
    "negative": (NUMBERS.replace("0.375", "-0.375"), "outside 0 to 3"),
    "not a number": (NUMBERS.replace("0.375", "fast"), "fast is no number"),
    "nan": (NUMBERS.replace("0.375", "nan"), "outside 0 to 3"),
    "too many digits": (NUMBERS.replace("0.375", "0.37512"), "three digits"),
    "another column": (NUMBERS.replace("velocity", "speed"), "those of Cheetah-Vel are file,velocity"),
    "a column too many": (NUMBERS.replace("file,velocity", "file,velocity,gravity"), "file,velocity,gravity"),
    "a value too many": (NUMBERS.replace("0.375", "0.375,1"), "has 3 values"),
    "a task that is none": (TASKS, "names no velocity"),
    "an open quote": ('file,velocity\n"agent-0.zip,1.5\n', "cannot be read as CSV"),
    "nothing": ("", "The table is empty"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_table_is_one_panel_and_leaves_nothing(zoo: Path, tmp_path: Path, case: str) -> None:
    table, says = BAD[case]
    done = imported(zoo, table, tmp_path, "--domain", "CheetahVel")
    assert done.exit_code == 2, done.output
    assert says in " ".join(done.output.replace("│", " ").split())
    assert done.output.count("╭") == 1
    assert not list(tmp_path.glob("*.h5"))


def test_numbers_without_a_domain_are_refused(zoo: Path, tmp_path: Path) -> None:
    done = imported(zoo, NUMBERS, tmp_path)
    assert done.exit_code == 2
    assert "no domain is named" in " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"net_arch": [8, 9]}, "17 -> 8 -> 9 -> 6"),
        ({"net_arch": [8, 8, 8]}, "17 -> 8 -> 8 -> 8 -> 6"),
        ({"net_arch": [8, 8], "activation_fn": torch.nn.Tanh}, "tanh, tanh"),
        ({"net_arch": [8, 8], "observations": 16}, "16 -> 8 -> 8 -> 6"),
        ({"net_arch": [8, 8], "ends": [-2 * np.ones(6), np.ones(6)]}, "[-2, 1]"),
        ({"net_arch": [8, 8], "algorithm": "PPO"}, "clip"),
    ],
)
def test_another_kind_of_agent_within_the_folder_is_refused(
    zoo: Path, tmp_path: Path, settings: dict[str, Any], says: str
) -> None:
    folder = tmp_path / "zoo"
    folder.mkdir()
    for name in ("agent-0.zip", "agent-1.zip"):
        (folder / name).write_bytes((zoo / name).read_bytes())
    usual: dict[str, Any] = {"algorithm": "TD3", "observations": 17, "ends": [-np.ones(6), np.ones(6)]}
    agent(**{**usual, **settings}).save(folder / "agent-2.zip")
    table = "file,task\nagent-0.zip,a\nagent-1.zip,b\nagent-2.zip,a\n"
    done = imported(folder, table, tmp_path)
    assert done.exit_code == 2, done.output
    text = " ".join(done.output.replace("│", " ").split())
    assert "policies of one layout" in text
    assert says in text
    assert not list(tmp_path.glob("*.h5"))


def test_agents_of_other_sizes_than_the_domains_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "zoo"
    folder.mkdir()
    agent("TD3", net_arch=[8, 8]).save(folder / "a.zip")
    done = imported(folder, "file,velocity\na.zip,1.5\n", tmp_path, "--domain", "CheetahVel")
    assert done.exit_code == 2
    assert "Cheetah-Vel has 17 observations and 6 actions" in " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--task", "a", "--conditions", "c.csv"], "Either --task"),
        ([], "Either --task"),
        (["--conditions", "nowhere.csv"], "no such table"),
        (["--conditions", "c.csv", "--domain", "MetaWorld"], "not by numbers"),
        (["--conditions", "c.csv", "--domain", "CheetahVelo"], "no domain named"),
    ],
)
def test_arguments_that_do_not_go_together(zoo: Path, tmp_path: Path, arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(app, ["store", "import-sb3", str(zoo), *arguments, "--out", str(tmp_path / "z.h5")])
    assert done.exit_code == 2, done.output
    assert says in " ".join(done.output.replace("│", " ").split())
