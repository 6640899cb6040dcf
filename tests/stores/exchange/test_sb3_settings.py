"""Which agents of stable-baselines3 are read, judged by files that the library itself wrote."""

from __future__ import annotations

import io
import json
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space

from hyprepro.domains.catalogue import domain_of
from hyprepro.errors import UserError
from hyprepro.policies.forward import StackedPolicies
from hyprepro.stores.exchange import sb3
from hyprepro.stores.policy_store import PolicyStore
from tests.stores import hostile

stable_baselines3 = pytest.importorskip("stable_baselines3")
layers = pytest.importorskip("stable_baselines3.common.torch_layers")

FLAT = Box(-5.0, 5.0, (39,), np.float32)
ACTIONS = Box(-1.0, 1.0, (4,), np.float32)


class ReLU(torch.nn.Module):
    """Has torch's name and does something else."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2.0 * torch.relu(x)


class FlattenExtractor(layers.FlattenExtractor):  # type: ignore[misc]
    """Has stable-baselines3's name and does something else."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2.0 * self.flatten(x)


class MyBox(Box):
    """A space of the user's."""


class Spaces(gymnasium.Env[Any, Any]):
    def __init__(self, observations: Space[Any], actions: Space[Any]) -> None:
        self.observation_space, self.action_space = observations, actions


def agent(
    observations: Space[Any] = FLAT,
    actions: Space[Any] = ACTIONS,
    policy: Any = "MlpPolicy",
    algorithm: str = "SAC",
    use_sde: bool = False,
    **kwargs: Any,
) -> Any:
    make = getattr(stable_baselines3, algorithm)
    more: dict[str, Any] = {} if algorithm in ("PPO", "A2C") else {"buffer_size": 10}
    if use_sde:
        more["use_sde"] = True
    settings = {"net_arch": [128, 128], **kwargs}
    return make(policy, Spaces(observations, actions), policy_kwargs=settings, device="cpu", seed=1, **more)


def parts(*sizes: int) -> Dict:
    return Dict(OrderedDict((name, Box(-5, 5, (size,))) for name, size in zip("zyx", sizes, strict=True)))


SAME: dict[str, dict[str, Any]] = {
    "infinite bounds": {"observations": Box(-np.inf, np.inf, (39,), np.float64)},
    "half observations": {"observations": Box(-5, 5, (39,), np.float16)},
    "torch's ReLU": {"activation_fn": torch.nn.ReLU},
    "the default extractor, said": {"features_extractor_class": layers.FlattenExtractor},
    "no settings of the extractor": {"features_extractor_kwargs": {}},
    "a shared extractor": {"share_features_extractor": True},
    "no image to normalise": {"normalize_images": False},
    "another critic": {"net_arch": {"pi": [128, 128], "qf": [64]}, "n_critics": 3},
    "widths of numpy": {"net_arch": list(np.array([128, 128]))},
    "another optimizer": {"optimizer_class": torch.optim.SGD, "optimizer_kwargs": {"momentum": 0.5}},
    "TD3": {"algorithm": "TD3"},
    "DDPG": {"algorithm": "DDPG"},
    "PPO": {"algorithm": "PPO"},
    "A2C with ReLU": {"algorithm": "A2C", "activation_fn": torch.nn.ReLU},
    "ELU": {"activation_fn": torch.nn.ELU},
    "Tanh": {"activation_fn": torch.nn.Tanh},
    "PPO with another critic": {"algorithm": "PPO", "net_arch": {"pi": [128, 128], "vf": [32]}, "ortho_init": False},
    "settings of gSDE, without it": {"log_std_init": -2.0, "clip_mean": 1.0, "use_expln": True},
}

OTHER: dict[str, tuple[dict[str, Any], str]] = {
    "one-hot observations": ({"observations": Discrete(39)}, "Discrete"),
    "several one-hot observations": ({"observations": MultiDiscrete([13, 13, 13])}, "MultiDiscrete"),
    "bits": ({"observations": MultiBinary(39)}, "MultiBinary"),
    "a dictionary": ({"observations": parts(33, 3, 3), "policy": "MultiInputPolicy"}, "MultiInputPolicy"),
    "rows": ({"observations": Box(-5, 5, (3, 13))}, r"shape \[3, 13\]"),
    "one row": ({"observations": Box(-5, 5, (1, 39))}, r"shape \[1, 39\]"),
    "an image": ({"observations": Box(0, 255, (1, 3, 13), np.uint8)}, r"shape \[1, 3, 13\]"),
    "bytes": ({"observations": Box(0, 255, (39,), np.uint8)}, "type uint8"),
    "integers": ({"observations": Box(-5, 5, (39,), np.int64)}, "type int64"),
    "a space of the user's": ({"observations": MyBox(-5, 5, (39,))}, "MyBox"),
    "fewer observations": ({"observations": Box(-5, 5, (38,))}, "another layout: 38 ->"),
    "fewer actions": ({"actions": Box(-1, 1, (3,))}, "another layout: 39 -> 128 -> 128 -> 3"),
    "a table of actions": ({"actions": Box(-1, 1, (2, 2))}, r"actions have the shape \[2, 2\]"),
    "wider actions": ({"actions": Box(-2, 2, (4,))}, r"within \[-2, 2\]"),
    "one wider action": ({"actions": Box(-np.ones(4), np.array([1, 1, 1, 2.0]), dtype=np.float64)}, r"\[-1, 2\]"),
    "half the actions": ({"actions": Box(0, 1, (4,))}, r"within \[0, 1\]"),
    "another ReLU": ({"activation_fn": ReLU}, "activation is none of"),
    "a relative of ReLU": ({"activation_fn": torch.nn.ReLU6}, "ReLU6"),
    "an activation that is no class": ({"activation_fn": lambda: torch.nn.ReLU()}, "activation is none of"),
    "another extractor": ({"features_extractor_class": FlattenExtractor}, "features_extractor_class"),
    "gSDE": ({"use_sde": True}, "gSDE"),
    "DQN": ({"algorithm": "DQN", "actions": Discrete(4)}, "DQNPolicy from 'stable_baselines3.dqn.policies'"),
    "gSDE of PPO": ({"algorithm": "PPO", "use_sde": True}, "gSDE"),
    "one hidden layer": ({"net_arch": [128]}, "two hidden layers or more"),
    "narrow": ({"net_arch": [64, 64]}, "widths differ from 39 -> 128 -> 128 -> 4"),
    "deep": ({"net_arch": [128, 128, 128]}, "widths differ"),
    "narrow, in numpy's numbers": ({"net_arch": list(np.array([64, 64]))}, "widths differ"),
    "a narrow actor": ({"net_arch": {"pi": [64, 64], "qf": [128, 128]}}, "widths differ"),
}


@pytest.mark.parametrize("case", SAME)
def test_an_agent_that_acts_as_a_layout_can_say_is_read_and_acts_so(tmp_path: Path, case: str) -> None:
    model = agent(**SAME[case])
    model.save(tmp_path / "agent.zip")
    sb3.import_sb3([tmp_path / "agent.zip"], tmp_path / "p.h5", "reach")
    observations = np.random.default_rng(0).normal(0, 1, (20, 39)).astype(np.float32)
    with PolicyStore.open(tmp_path / "p.h5") as store:
        ours = StackedPolicies(store.layout, store.read("reach", [0])).means(torch.from_numpy(observations))[0]
    np.testing.assert_allclose(model.predict(observations, deterministic=True)[0], ours, atol=1e-5)


@pytest.mark.parametrize("case", OTHER)
def test_an_agent_that_acts_otherwise_is_refused_by_name(tmp_path: Path, case: str) -> None:
    settings, says = OTHER[case]
    agent(**settings).save(tmp_path / "agent.zip")
    with pytest.raises(UserError, match=says) as refusal:
        sb3.import_sb3([tmp_path / "agent.zip"], tmp_path / "p.h5", "reach", domain=domain_of(["reach"]))
    assert refusal.value.fix
    assert ("net_arch" in refusal.value.fix) == ("widths" in says)  # others have these widths already
    assert [path.name for path in tmp_path.iterdir()] == ["agent.zip"]


@pytest.mark.parametrize("name", ["policy_class", "observation_space", "action_space", "policy_kwargs"])
def test_what_a_file_does_not_say_is_not_taken_for_the_default(tmp_path: Path, name: str) -> None:
    agent().save(tmp_path / "agent.zip", exclude=[name])
    with pytest.raises(UserError, match=f"does not say what its {name} is"):
        sb3.read_sb3(tmp_path / "agent.zip")


Edit = Callable[[dict[str, Any]], Any]

CHANGED: dict[str, tuple[Edit, str]] = {
    "an unknown setting": (lambda d: d["policy_kwargs"].update(squash=False), "a setting that SAC's has not: squash"),
    "settings of the default extractor": (
        lambda d: d["policy_kwargs"].update(features_extractor_kwargs={"scale": 2}),
        "features_extractor_class",
    ),
    "a space without a type": (lambda d: d["observation_space"].pop(":type:"), "something unnamed"),
    "a space without a shape": (lambda d: d["observation_space"].pop("_shape"), "the shape None"),
    "a space without numbers": (lambda d: d["action_space"].pop("low"), "range from nothing"),
    "endless actions": (lambda d: d["action_space"].update(high="[inf inf inf inf]"), "not between finite numbers"),
    "ends that are no numbers": (lambda d: d["action_space"].update(high="[1. 1. ... 1.]"), "range from"),
    "ends in the wrong order": (lambda d: d["action_space"].update(high="[-1. -1. -1. -1.]"), "range from"),
    "a subclass in SAC's module": (lambda d: d["policy_class"].pop("__init__"), "no class of its own"),
    "a list for a space": (lambda d: d.update(observation_space=[39]), "does not say what its observation_space"),
}


def changed(edit: Edit, path: Path) -> Path:
    """An agent's file whose `data` was edited."""
    content = io.BytesIO()
    agent().save(content)
    with zipfile.ZipFile(content) as archive:
        data = json.loads(archive.read("data"))
    edit(data)
    path.write_bytes(hostile.rezip(content.getvalue(), {"data": json.dumps(data).encode()}))
    return path


@pytest.mark.parametrize("case", CHANGED)
def test_a_file_that_cannot_be_judged_is_refused(tmp_path: Path, case: str) -> None:
    edit, says = CHANGED[case]
    with pytest.raises(UserError, match=says):
        sb3.read_sb3(changed(edit, tmp_path / "agent.zip"))


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d["observation_space"].update({":type:": "<class 'gym.spaces.box.Box'>"}),
        lambda d: d["policy_kwargs"].update(net_arch=[{"pi": [128, 128], "qf": [64]}]),
        lambda d: d["policy_kwargs"].update(device="cuda"),
    ],
)
def test_files_of_older_versions_are_read(tmp_path: Path, edit: Edit) -> None:
    assert sb3.read_sb3(changed(edit, tmp_path / "agent.zip")).params.shape == (22664,)
