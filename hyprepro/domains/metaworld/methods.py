"""The code of metaworld and gymnasium that the stepper stands in for, by digest: other code is not stepped fast.

Both are Python, so what a method does is its text. A method of a subclass, a patched one and one of another release all
have another name or another digest.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from functools import cache, cached_property
from typing import Any

from hyprepro.domains.metaworld.parts import TASK_PARTS

_OF_ALL = (
    "step",
    "set_xyz_action",
    "do_simulation",
    "_step_mujoco_simulation",
    "_get_obs",
    "_get_curr_obs_combined_no_goal",
    "_get_pos_goal",
    "_get_site_pos",
    "_set_pos_site",
    "get_endeff_pos",
    "get_body_com",
    "tcp_center",
    "sawyer_observation_space",
)
_OF_A_TASK = ("_get_pos_objects", "_get_quat_objects", "_target_site_config", "evaluate_state", "compute_reward")
_OF_REWARDS = ("tolerance", "_sigmoids")

CHECKED: dict[str, str] = {
    "MujocoEnv._step_mujoco_simulation": "04a7e4f3d9267071",
    "MujocoEnv.do_simulation": "e74c4bf660b003c1",
    "MujocoEnv.get_body_com": "a84eb7804d4f3763",
    "SawyerButtonPressEnvV3._get_pos_objects": "4999fbba837057ab",
    "SawyerButtonPressEnvV3._get_quat_objects": "7953df46b55eb3a9",
    "SawyerButtonPressEnvV3._target_site_config": "ba0cda1e3a5c7cbf",
    "SawyerButtonPressEnvV3.compute_reward": "8af5bd47bf833c19",
    "SawyerButtonPressEnvV3.evaluate_state": "276f62784e9b026a",
    "SawyerButtonPressWallEnvV3._get_pos_objects": "4999fbba837057ab",
    "SawyerButtonPressWallEnvV3._get_quat_objects": "7953df46b55eb3a9",
    "SawyerButtonPressWallEnvV3._target_site_config": "ba0cda1e3a5c7cbf",
    "SawyerButtonPressWallEnvV3.compute_reward": "4c4ca0069c8d65f4",
    "SawyerButtonPressWallEnvV3.evaluate_state": "836331e6cdddb8c6",
    "SawyerCoffeeButtonEnvV3._get_pos_objects": "1a4add1e197ec462",
    "SawyerCoffeeButtonEnvV3._get_quat_objects": "e7aebdabee353c7c",
    "SawyerCoffeeButtonEnvV3._target_site_config": "8d918e26ee3c62f3",
    "SawyerCoffeeButtonEnvV3.compute_reward": "ed767ba53b21d164",
    "SawyerCoffeeButtonEnvV3.evaluate_state": "276f62784e9b026a",
    "SawyerDialTurnEnvV3._get_pos_objects": "0c6ac085b33def1a",
    "SawyerDialTurnEnvV3._get_quat_objects": "38f3c290c8388ee8",
    "SawyerDialTurnEnvV3.compute_reward": "4c7dac18bf90beac",
    "SawyerDialTurnEnvV3.evaluate_state": "89f163a691dacb25",
    "SawyerDoorEnvV3._get_pos_objects": "842444e4bf87baf1",
    "SawyerDoorEnvV3._get_quat_objects": "a619dd44080cbe57",
    "SawyerDoorEnvV3._target_site_config": "ba0cda1e3a5c7cbf",
    "SawyerDoorEnvV3.compute_reward": "9ea017af042ce639",
    "SawyerDoorEnvV3.evaluate_state": "603409348fc6290a",
    "SawyerDoorLockEnvV3._get_pos_objects": "a7ef25a5f2fb11a3",
    "SawyerDoorLockEnvV3._get_quat_objects": "4247b881b38415d7",
    "SawyerDoorLockEnvV3._target_site_config": "376445a85b853feb",
    "SawyerDoorLockEnvV3.compute_reward": "a9cd22d0ce89325e",
    "SawyerDoorLockEnvV3.evaluate_state": "276f62784e9b026a",
    "SawyerDoorUnlockEnvV3._get_pos_objects": "d50256eae7085b0a",
    "SawyerDoorUnlockEnvV3._get_quat_objects": "4247b881b38415d7",
    "SawyerDoorUnlockEnvV3._target_site_config": "0a2322012caec372",
    "SawyerDoorUnlockEnvV3.compute_reward": "d442ace8cda9b839",
    "SawyerDoorUnlockEnvV3.evaluate_state": "276f62784e9b026a",
    "SawyerDrawerCloseEnvV3._get_pos_objects": "5852907603ba90f1",
    "SawyerDrawerCloseEnvV3._get_quat_objects": "348fc5d7574b8695",
    "SawyerDrawerCloseEnvV3.compute_reward": "4a56fe81649f56bd",
    "SawyerDrawerCloseEnvV3.evaluate_state": "0f679f7edccad1a8",
    "SawyerDrawerOpenEnvV3._get_pos_objects": "5a69e306fd49de30",
    "SawyerDrawerOpenEnvV3._get_quat_objects": "3fc970bec2160bee",
    "SawyerDrawerOpenEnvV3.compute_reward": "ad3b3c6072acd077",
    "SawyerDrawerOpenEnvV3.evaluate_state": "a1ae047adc01f784",
    "SawyerFaucetCloseEnvV3._get_pos_objects": "f7327c1711dd6e1b",
    "SawyerFaucetCloseEnvV3._get_quat_objects": "bb6e9ca3062dd019",
    "SawyerFaucetCloseEnvV3._target_site_config": "d78375fdd7b0c720",
    "SawyerFaucetCloseEnvV3.compute_reward": "9b457feaebe2af66",
    "SawyerFaucetCloseEnvV3.evaluate_state": "ddee34986c279686",
    "SawyerFaucetOpenEnvV3._get_pos_objects": "ebbd2760d4495094",
    "SawyerFaucetOpenEnvV3._get_quat_objects": "bb6e9ca3062dd019",
    "SawyerFaucetOpenEnvV3._target_site_config": "8305148805973754",
    "SawyerFaucetOpenEnvV3.compute_reward": "b95b22230f72e191",
    "SawyerFaucetOpenEnvV3.evaluate_state": "ddee34986c279686",
    "SawyerHandlePressEnvV3._get_pos_objects": "3466e790ffcf04f6",
    "SawyerHandlePressEnvV3._get_quat_objects": "348fc5d7574b8695",
    "SawyerHandlePressEnvV3._target_site_config": "ba0cda1e3a5c7cbf",
    "SawyerHandlePressEnvV3.compute_reward": "b1b4fa213471945a",
    "SawyerHandlePressEnvV3.evaluate_state": "c074c92e0a0dd04b",
    "SawyerHandlePressSideEnvV3._get_pos_objects": "3466e790ffcf04f6",
    "SawyerHandlePressSideEnvV3._get_quat_objects": "348fc5d7574b8695",
    "SawyerHandlePressSideEnvV3._target_site_config": "ba0cda1e3a5c7cbf",
    "SawyerHandlePressSideEnvV3.compute_reward": "a71f0899cd210f48",
    "SawyerHandlePressSideEnvV3.evaluate_state": "e2b7fd111c2fe9ba",
    "SawyerMocapBase.get_endeff_pos": "7adff0ffe301e562",
    "SawyerMocapBase.tcp_center": "6dadb9f0cff41751",
    "SawyerPlateSlideEnvV3._get_pos_objects": "8e39618a6797f024",
    "SawyerPlateSlideEnvV3._get_quat_objects": "67a4e1400506cdde",
    "SawyerPlateSlideEnvV3.compute_reward": "79adab0b0170f023",
    "SawyerPlateSlideEnvV3.evaluate_state": "a607a5fc3521da21",
    "SawyerReachEnvV3._get_pos_objects": "0b3732f4cd487b7a",
    "SawyerReachEnvV3._get_quat_objects": "aa7b73cdd3fe8871",
    "SawyerReachEnvV3.compute_reward": "f8ad8d6b39590c71",
    "SawyerReachEnvV3.evaluate_state": "06062004fd52917f",
    "SawyerReachWallEnvV3._get_pos_objects": "0b3732f4cd487b7a",
    "SawyerReachWallEnvV3._get_quat_objects": "aa7b73cdd3fe8871",
    "SawyerReachWallEnvV3.compute_reward": "8a3ac0fdaa0164ce",
    "SawyerReachWallEnvV3.evaluate_state": "0bf1738c1bbf9e4e",
    "SawyerWindowCloseEnvV3._get_pos_objects": "4e8929b5b0127bc2",
    "SawyerWindowCloseEnvV3._get_quat_objects": "348fc5d7574b8695",
    "SawyerWindowCloseEnvV3.compute_reward": "a0b203ce5578a36c",
    "SawyerWindowCloseEnvV3.evaluate_state": "c074c92e0a0dd04b",
    "SawyerWindowOpenEnvV3._get_pos_objects": "7133679df5601a3d",
    "SawyerWindowOpenEnvV3._get_quat_objects": "348fc5d7574b8695",
    "SawyerWindowOpenEnvV3.compute_reward": "b2d71e1b2601a648",
    "SawyerWindowOpenEnvV3.evaluate_state": "c074c92e0a0dd04b",
    "SawyerXYZEnv._Decorators.assert_task_is_set.<locals>.inner": "d1fba32bf9781a41",
    "SawyerXYZEnv._get_curr_obs_combined_no_goal": "8c45967bdc72e4ae",
    "SawyerXYZEnv._get_obs": "6fb5a24d0a078cf8",
    "SawyerXYZEnv._get_pos_goal": "55aaccfc30e869d7",
    "SawyerXYZEnv._get_site_pos": "bb8caaacc5a314f8",
    "SawyerXYZEnv._set_pos_site": "82529403ebb92dd1",
    "SawyerXYZEnv._target_site_config": "32e49a87d3dfa310",
    "SawyerXYZEnv.sawyer_observation_space": "6a3a752844282f3e",
    "SawyerXYZEnv.set_xyz_action": "0fc19d095c6b3c24",
    "SawyerXYZEnv.step": "42574d779e01d276",
    "reward_utils._sigmoids": "beccb2487a844485",
    "reward_utils.tolerance": "6a4d52642ce136a8",
}
"""Digest of the source by qualified name, of metaworld 3.1.1 and of gymnasium 1.1.0 to 1.4.0, which agree."""


@cache
def unlike(env_class: type, task: str) -> tuple[str, ...]:
    """The methods of an environment's class that are not those that the stepper was checked against, by name."""
    return tuple(name for name, digest in methods(env_class, task).items() if CHECKED.get(name) != digest)


def methods(env_class: type, task: str) -> dict[str, str]:
    """Digests of the methods that the stepper replaces for a task; "" where there is no source to read."""
    from metaworld.utils import reward_utils

    names = _OF_ALL + (_OF_A_TASK if task in TASK_PARTS else ())
    found = {f"reward_utils.{name}": _digest(getattr(reward_utils, name)) for name in _OF_REWARDS}
    for name in names:
        for function in _functions(inspect.getattr_static(env_class, name)):
            found[function.__qualname__] = _digest(function)
    return found


def _functions(attribute: Any) -> Iterator[Any]:
    """The functions behind a method, a property or a method that metaworld's decorator wraps."""
    if isinstance(attribute, property):
        attribute = attribute.fget
    elif isinstance(attribute, cached_property):
        attribute = attribute.func
    yield attribute
    for cell in getattr(attribute, "__closure__", None) or ():
        if inspect.isfunction(cell.cell_contents):
            yield cell.cell_contents


def _digest(function: Any) -> str:
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        return ""
    return hashlib.sha256(source.encode()).hexdigest()[:16]
