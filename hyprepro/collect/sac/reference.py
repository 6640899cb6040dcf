"""The reference collector: stable-baselines3's SAC, one agent at a time, from the same settings as the batched one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from hyprepro.collect.sac.networks import Parameters
from hyprepro.errors import needing
from hyprepro.policies.layout import METAWORLD_LAYOUT

if TYPE_CHECKING:
    from stable_baselines3 import SAC

    from hyprepro.collect.sac.settings import SACTraining


def reference_sac(training: SACTraining, env: Any, seed: int, width: int = METAWORLD_LAYOUT.hidden) -> SAC:
    """stable-baselines3's SAC with these settings and hidden layers of this width.

    Raises:
        UserError: stable-baselines3 is not installed.
    """
    with needing("stable-baselines3", "sb3"):
        from stable_baselines3 import SAC
    settings = training.sac
    return SAC(
        "MlpPolicy",
        env,
        learning_rate=settings.learning_rate,
        buffer_size=training.replay,
        learning_starts=training.first_steps,
        batch_size=settings.batch_size,
        tau=settings.polyak,
        gamma=settings.discount,
        train_freq=round(1 / training.updates_per_step),
        gradient_steps=1,
        ent_coef=f"auto_{settings.initial_temperature}",
        policy_kwargs={"net_arch": [width, width]},
        seed=seed,
        device="cpu",
    )


_NAMES = {"linear1": "latent_pi.0", "linear2": "latent_pi.2", "mean": "mu", "log_std": "log_std"}


def actor_of(model: SAC) -> Parameters:
    """A stable-baselines3 actor as stacked parameters of one agent."""
    state = model.actor.state_dict()
    parameters = {}
    for ours, theirs in _NAMES.items():
        parameters[f"{ours}.weight"] = state[f"{theirs}.weight"].mT[None].clone()
        parameters[f"{ours}.bias"] = state[f"{theirs}.bias"][None, None].clone()
    return parameters


def load_actor(model: SAC, parameters: Parameters) -> None:
    """Put one agent's stacked parameters (without the agent axis: weights `[in, out]`) into an SB3 actor."""
    state = {}
    for ours, theirs in _NAMES.items():
        state[f"{theirs}.weight"] = parameters[f"{ours}.weight"].mT.contiguous()
        state[f"{theirs}.bias"] = parameters[f"{ours}.bias"].reshape(-1)
    with torch.no_grad():
        model.actor.load_state_dict(state)
