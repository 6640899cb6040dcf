"""How gymnasium makes the environment of a task, in words that fit into a file, for other libraries to make it too."""

from __future__ import annotations

from gymnasium.envs.registration import EnvSpec

from hyprepro.domains.cheetah_vel.tasks import task_velocity
from hyprepro.errors import UserError

_METAWORLD = "Meta-World/MT1"
_CHEETAH = "hyprepro/CheetahVel-v0"
_SIZES = {_METAWORLD: (39, 4), _CHEETAH: (17, 6)}


def task_spec(task: str, observation_size: int, action_size: int) -> EnvSpec | None:
    """The specification of a task's environment, for `gymnasium.make`.

    Any of metaworld's tasks is `gymnasium.make("Meta-World/MT1", env_name=..., seed=1)`; the seed is that of its fifty
    goals. metaworld registers this with a lambda, which no file can hold; the function behind it stands here instead.

    Args:
        task: The task's name.
        observation_size: Numbers of an observation.
        action_size: Numbers of an action.

    Returns:
        None if the name is no environment's, or that environment has other sizes.
    """
    spec = _metaworld(task) or _cheetah(task)
    return spec if spec is not None and _SIZES[spec.id] == (observation_size, action_size) else None


def _metaworld(task: str) -> EnvSpec | None:
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    name = f"{task}-v3"
    if name not in ALL_V3_ENVIRONMENTS:
        return None
    return EnvSpec(
        id=_METAWORLD,
        entry_point="metaworld:make_mt_envs",
        kwargs={"name": name, "seed": 1},
        disable_env_checker=True,  # it warns that goals are observed, which metaworld's space says are hidden
    )


def _cheetah(task: str) -> EnvSpec | None:
    try:
        velocity = task_velocity(task)
    except UserError:
        return None
    return EnvSpec(
        id=_CHEETAH, entry_point="hyprepro.domains.cheetah_vel.env:CheetahVel", kwargs={"velocity": velocity}
    )
