"""What a file of stable-baselines3 says about its agent, and whether that acts as a policy of our layout.

`data` in such a file is JSON. A value that is no JSON stands there as a base64 pickle beside plain text about it: the
name of its type, and its attributes as JSON or as Python prints them. The text alone is read. An agent passes if
everything between an observation and the first layer, and between the last layer and an action, is what our layout
does: 39 floats as they are, ReLU, tanh, actions from -1 to 1. What is not said is not taken to be the default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hyprepro.errors import UserError
from hyprepro.policies.layout import METAWORLD_LAYOUT

POLICY = "stable_baselines3.sac.policies"
"""The module of SAC's policies; its MlpPolicy is the class SACPolicy itself, CnnPolicy and MultiInputPolicy derive."""

RELU = "<class 'torch.nn.modules.activation.ReLU'>"
FLATTEN = "<class 'stable_baselines3.common.torch_layers.FlattenExtractor'>"
BOXES = ("<class 'gymnasium.spaces.box.Box'>", "<class 'gym.spaces.box.Box'>")
"""The second is of stable-baselines3 before 2.0, which reads it as the first."""

WITHOUT_EFFECT = {
    "clip_mean",
    "device",
    "log_std_init",
    "n_critics",
    "normalize_images",
    "optimizer_class",
    "optimizer_kwargs",
    "share_features_extractor",
    "use_expln",
}
"""Settings of the policy that do not change the mean action for 39 floats, without gSDE."""

_SIZE, _ACTIONS = METAWORLD_LAYOUT.observation_size, METAWORLD_LAYOUT.action_size
_HIDDEN = [METAWORLD_LAYOUT.hidden] * 2
_FIX_POLICY = 'train with stable-baselines3\'s own SAC("MlpPolicy", ...)'
FIX_WIDTHS = f'train with policy_kwargs={{"net_arch": {_HIDDEN}}}'
_FIX_SAVE = "save it anew with model.save(FILE), without `exclude`"
_FIX_OBSERVATIONS = f"train on a Meta-World task, whose observations are {_SIZE} floats in a row"
_FIX_ACTIONS = f"train on actions of {_ACTIONS} numbers from -1 to 1, such as Meta-World's own"


def check_settings(data: Mapping[str, Any], where: str) -> None:
    """Refuse an agent that acts otherwise than our layout, or that does not say how it acts.

    Args:
        data: The file's `data`.
        where: The file, for the error.

    Raises:
        UserError: Another algorithm or policy class, another observation or action space, an activation, features
            extractor, exploration or width of its own, or something of this is not said.
    """
    _check_policy(_described(data, "policy_class", where), where)
    _check_observations(_described(data, "observation_space", where), where)
    _check_actions(_described(data, "action_space", where), where)
    kwargs = {name: value for name, value in _described(data, "policy_kwargs", where).items() if name[:1] != ":"}
    _check_kwargs(kwargs, where)
    if data.get("use_sde") or kwargs.get("use_sde"):
        raise UserError("The policy has its own exploration (gSDE).", where=where, fix="train with use_sde=False")


def _check_policy(policy: Mapping[str, Any], where: str) -> None:
    """Refuse every policy class but SAC's MlpPolicy."""
    module = str(policy.get("__module__", "nowhere"))
    made = re.match(r"<function (\w+)\.__init__ at ", str(policy.get("__init__", "")))
    name = made[1] if made else "no class of its own"
    if (module, name) != (POLICY, "SACPolicy"):
        raise UserError(
            f"The policy is not SAC's own MlpPolicy; it is {name} from {module!r}.", where=where, fix=_FIX_POLICY
        )


def _check_observations(space: Mapping[str, Any], where: str) -> None:
    """Refuse observations that are encoded, concatenated, scaled or reshaped before the first layer, or no floats."""
    _check_box(space, "observation", where, _FIX_OBSERVATIONS)
    shape, dtype = space.get("_shape"), str(space.get("dtype"))
    if shape != [_SIZE]:
        raise UserError(
            f"Its observations have the shape {_shown(shape)}; Meta-World's are {_SIZE} numbers in a row.",
            where=where,
            fix=_FIX_OBSERVATIONS,
        )
    if dtype not in ("float16", "float32", "float64"):
        raise UserError(
            f"Its observations are of the type {_shown(dtype)}, not floats.", where=where, fix=_FIX_OBSERVATIONS
        )


def _check_actions(space: Mapping[str, Any], where: str) -> None:
    """Refuse actions that are scaled after tanh."""
    _check_box(space, "action", where, _FIX_ACTIONS)
    if space.get("_shape") != [_ACTIONS]:
        raise UserError(
            f"Its actions have the shape {_shown(space.get('_shape'))}; Meta-World's are {_ACTIONS} numbers.",
            where=where,
            fix=_FIX_ACTIONS,
        )
    low, high = (_shown(space.get(name, "nothing")) for name in ("low", "high"))
    if set(low.strip("[]").split()) != {"-1."} or set(high.strip("[]").split()) != {"1."}:
        raise UserError(f"Its actions range from {low} to {high}, not from -1 to 1.", where=where, fix=_FIX_ACTIONS)


def _check_box(space: Mapping[str, Any], kind: str, where: str, fix: str) -> None:
    found = str(space.get(":type:", "something unnamed"))
    if found not in BOXES:
        raise UserError(f"The {kind} space is {_shown(found)}, not gymnasium's Box.", where=where, fix=fix)


def _check_kwargs(kwargs: Mapping[str, Any], where: str) -> None:
    """Refuse settings of the policy that change what it does, and those that are unknown."""
    activation = kwargs.get("activation_fn", RELU)
    if activation != RELU:
        raise UserError(
            f"The policy's activation is not ReLU, that is torch.nn.ReLU: {_shown(activation)}.",
            where=where,
            fix="train with torch.nn.ReLU, the default",
        )
    extractor = kwargs.get("features_extractor_class", FLATTEN)
    if extractor != FLATTEN or kwargs.get("features_extractor_kwargs"):
        raise UserError(
            f"The policy has its own features_extractor_class: {_shown(extractor)}, with the settings "
            f"{_shown(kwargs.get('features_extractor_kwargs') or 'none')}.",
            where=where,
            fix="train with stable-baselines3's FlattenExtractor, the default",
        )
    judged = {"activation_fn", "features_extractor_class", "features_extractor_kwargs", "net_arch", "use_sde"}
    unknown = sorted(set(kwargs) - judged - WITHOUT_EFFECT)
    if unknown:
        raise UserError(
            f"The policy has a setting that SAC's has not: {_shown(unknown[0])}.", where=where, fix=_FIX_POLICY
        )
    _check_widths(kwargs.get("net_arch"), where)


def _check_widths(arch: Any, where: str) -> None:
    """Refuse other hidden layers of the actor than ours; numbers that are not readable are left to the weights."""
    if isinstance(arch, list) and arch and isinstance(arch[0], dict):
        arch = arch[0]  # as stable-baselines3 reads the files of its old versions
    if isinstance(arch, dict):
        arch = arch.get("pi")
    if arch != _HIDDEN and not isinstance(arch, str):
        said = "the default, [256, 256]" if arch is None else _shown(arch)
        raise UserError(
            f"The policy's widths differ from {_HIDDEN}: its net_arch is {said}.", where=where, fix=FIX_WIDTHS
        )


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
