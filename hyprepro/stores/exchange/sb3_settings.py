"""What a file of stable-baselines3 says about its agent, and whether that acts as a stored policy can.

`data` in such a file is JSON. A value that is no JSON stands there as a base64 pickle beside plain text about it: the
name of its type, and its attributes as JSON or as Python prints them. The text alone is read. An agent passes if
everything between an observation and the first layer, and between the last layer and an action, is what a layout can
say: floats in a row as they are, one known activation, actions that are squashed by tanh (SAC, TD3) or cut off (PPO)
and then scaled to finite bounds. What is not said is not taken to be the default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from hyprepro.errors import UserError
from hyprepro.policies.layout import Activation, Bounds, Squash

Algorithm = Literal["SAC", "TD3", "PPO"]

POLICIES: dict[tuple[str, str], Algorithm] = {
    ("stable_baselines3.sac.policies", "SACPolicy"): "SAC",
    ("stable_baselines3.td3.policies", "TD3Policy"): "TD3",
    ("stable_baselines3.common.policies", "ActorCriticPolicy"): "PPO",
}
"""MlpPolicy is such a class itself, CnnPolicy and MultiInputPolicy derive; DDPG saves TD3's and A2C saves PPO's."""

ACTIVATIONS: dict[str, Activation] = {
    "<class 'torch.nn.modules.activation.ReLU'>": "relu",
    "<class 'torch.nn.modules.activation.ELU'>": "elu",
    "<class 'torch.nn.modules.activation.Tanh'>": "tanh",
}
DEFAULT: dict[Algorithm, Activation] = {"SAC": "relu", "TD3": "relu", "PPO": "tanh"}
FLATTEN = "<class 'stable_baselines3.common.torch_layers.FlattenExtractor'>"
BOXES = ("<class 'gymnasium.spaces.box.Box'>", "<class 'gym.spaces.box.Box'>")
"""The second is of stable-baselines3 before 2.0, which reads it as the first."""

WITHOUT_EFFECT = {
    "clip_mean",
    "device",
    "full_std",
    "log_std_init",
    "n_critics",
    "net_arch",
    "normalize_images",
    "optimizer_class",
    "optimizer_kwargs",
    "ortho_init",
    "share_features_extractor",
    "use_expln",
}
"""Settings of the policy that do not change the mean action for floats, without gSDE; widths are the weights' own."""

_FIX_POLICY = 'train with stable-baselines3\'s own SAC, TD3 or PPO("MlpPolicy", ...)'
_FIX_SAVE = "save it anew with model.save(FILE), without `exclude`"
_FIX_OBSERVATIONS = "train on observations that are floats in a row"
_FIX_ACTIONS = "train on actions in a row, each between two finite numbers, such as -1 and 1"


class Acting(NamedTuple):
    """How an agent acts.

    Attributes:
        algorithm: Whose policy it is.
        activation: After each hidden layer.
        squash: How a mean becomes an action.
        observation_size: Length of an observation.
        bounds: Of each number of an action.
    """

    algorithm: Algorithm
    activation: Activation
    squash: Squash
    observation_size: int
    bounds: Bounds


def check_settings(data: Mapping[str, Any], where: str) -> Acting:
    """How an agent acts.

    Args:
        data: The file's `data`.
        where: The file, for the error.

    Raises:
        UserError: Another algorithm or policy class, an observation or action space that is no row of floats, an
            activation, features extractor or exploration of its own, or something of this is not said.
    """
    algorithm = _algorithm(_described(data, "policy_class", where), where)
    size = _observations(_described(data, "observation_space", where), where)
    bounds = _actions(_described(data, "action_space", where), where)
    kwargs = {name: value for name, value in _described(data, "policy_kwargs", where).items() if name[:1] != ":"}
    activation = _activation(kwargs, algorithm, where)
    if data.get("use_sde") or kwargs.get("use_sde"):
        raise UserError("The policy has its own exploration (gSDE).", where=where, fix="train with use_sde=False")
    return Acting(algorithm, activation, "clip" if algorithm == "PPO" else "tanh", size, bounds)


def _algorithm(policy: Mapping[str, Any], where: str) -> Algorithm:
    module = str(policy.get("__module__", "nowhere"))
    made = re.match(r"<function (\w+)\.__init__ at ", str(policy.get("__init__", "")))
    name = made[1] if made else "no class of its own"
    if (module, name) not in POLICIES:
        raise UserError(
            f"The policy is not the MlpPolicy of SAC, TD3 or PPO; it is {name} from {module!r}.",
            where=where,
            fix=_FIX_POLICY,
        )
    return POLICIES[module, name]


def _observations(space: Mapping[str, Any], where: str) -> int:
    """Refuse observations that are encoded, concatenated, scaled or reshaped before the first layer, or no floats."""
    shape, dtype = _row(space, "observation", where, _FIX_OBSERVATIONS), str(space.get("dtype"))
    if dtype not in ("float16", "float32", "float64"):
        raise UserError(
            f"Its observations are of the type {_shown(dtype)}, not floats.", where=where, fix=_FIX_OBSERVATIONS
        )
    return shape


def _actions(space: Mapping[str, Any], where: str) -> Bounds:
    """The ends of each number of an action."""
    size = _row(space, "action", where, _FIX_ACTIONS)
    ends = [_numbers(space.get(name, "nothing")) for name in ("low", "high")]
    bounds = tuple(zip(*ends, strict=True)) if all(len(end) == size for end in ends) else ()
    if not bounds or not np.isfinite(bounds).all() or any(low >= high for low, high in bounds):
        low, high = (_shown(space.get(name, "nothing")) for name in ("low", "high"))
        raise UserError(
            f"Its actions range from {low} to {high}, not between finite numbers.", where=where, fix=_FIX_ACTIONS
        )
    return bounds


def _numbers(text: Any) -> tuple[float, ...]:
    """What an array's text says; empty if that is not numbers alone."""
    try:
        return tuple(float(np.float32(word)) for word in str(text).strip("[] \n").split())
    except ValueError:
        return ()


def _row(space: Mapping[str, Any], kind: str, where: str, fix: str) -> int:
    """The length of a box of one dimension."""
    found, shape = str(space.get(":type:", "something unnamed")), space.get("_shape")
    if found not in BOXES:
        raise UserError(f"The {kind} space is {_shown(found)}, not gymnasium's Box.", where=where, fix=fix)
    if not isinstance(shape, list) or len(shape) != 1 or type(shape[0]) is not int or shape[0] < 1:
        raise UserError(
            f"Its {kind}s have the shape {_shown(shape)}; those of a stored policy are numbers in a row.",
            where=where,
            fix=fix,
        )
    return int(shape[0])


def _activation(kwargs: Mapping[str, Any], algorithm: Algorithm, where: str) -> Activation:
    """The activation; refuses settings of the policy that change what it does, and those that are unknown."""
    given = kwargs.get("activation_fn")
    if given is not None and (not isinstance(given, str) or given not in ACTIVATIONS):
        raise UserError(
            f"The policy's activation is none of torch.nn.ReLU, ELU and Tanh: {_shown(given)}.",
            where=where,
            fix="train with one of these",
        )
    extractor = kwargs.get("features_extractor_class", FLATTEN)
    if extractor != FLATTEN or kwargs.get("features_extractor_kwargs"):
        raise UserError(
            f"The policy has its own features_extractor_class: {_shown(extractor)}, with the settings "
            f"{_shown(kwargs.get('features_extractor_kwargs') or 'none')}.",
            where=where,
            fix="train with stable-baselines3's FlattenExtractor, the default",
        )
    judged = {"activation_fn", "features_extractor_class", "features_extractor_kwargs", "squash_output", "use_sde"}
    unknown = sorted(set(kwargs) - judged - WITHOUT_EFFECT)
    if unknown or kwargs.get("squash_output"):
        raise UserError(
            f"The policy has a setting that {algorithm}'s has not: {_shown((unknown or ['squash_output'])[0])}.",
            where=where,
            fix=_FIX_POLICY,
        )
    return DEFAULT[algorithm] if given is None else ACTIVATIONS[given]


def _described(data: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    """A value that is described in words (`UserError` if the file does not have it)."""
    value = data.get(name)
    if not isinstance(value, dict):
        raise UserError(
            f"The file does not say what its {name} is, so how the agent acts cannot be judged.",
            where=where,
            fix=_FIX_SAVE,
        )
    return value


def _shown(value: Any) -> str:
    return str(value)[:80]
