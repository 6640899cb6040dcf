"""The reference collector: stable-baselines3's SAC, one agent at a time, from the same settings as the batched one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from hyprepro.collectors.clones import Clones
from hyprepro.collectors.collection import SACTraining, training_goal
from hyprepro.collectors.networks import Parameters, to_flat
from hyprepro.domains.metaworld.gym import MetaWorldGym
from hyprepro.engine.stage import Report
from hyprepro.errors import UserError
from hyprepro.policies.layout import METAWORLD_LAYOUT

if TYPE_CHECKING:
    from stable_baselines3 import SAC

    from hyprepro.collectors.training import TrainSAC


def train_reference(stage: TrainSAC, clones: Clones, report: Report) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Train a stage's agents one after the other; returns what the batched collector returns.

    Raises:
        UserError: stable-baselines3 is missing, or settings that its SAC does not have are switched on.
    """
    from hyprepro.collectors.training import agent_seeds, start_actors

    settings = stage.training
    if settings.sac.cloning_weight or settings.sac.normalise_q or settings.critic_updates:
        raise UserError(
            "stable-baselines3's SAC has no cloning term, no normalised actor loss and no critic head start.",
            where="SACTraining.trainer = 'stable-baselines3'",
            fix="bind SACSettings.cloning_weight=0.0, SACSettings.normalise_q=False, SACTraining.critic_updates=0",
        )
    start = start_actors(stage, clones)
    every, seed = settings.checkpoint_every, int(agent_seeds(stage)[0])
    kept = []
    for number, agent in enumerate(stage.agents):
        env = MetaWorldGym(agent.task, partial(training_goal, agent), settings.episode_steps, clones.normaliser.apply)
        model = reference_sac(settings, env, (seed + number) % 2**32)
        if start is not None:
            load_actor(model, {name: tensor[number] for name, tensor in start.items()})
        policies = [actor_of(model)]
        while model._n_updates < settings.updates:
            steps = round(every / settings.updates_per_step) + (settings.first_steps if len(policies) == 1 else 0)
            model.learn(steps, reset_num_timesteps=False)
            policies.append(actor_of(model))
            report.progress(number * settings.updates + model._n_updates, len(stage.agents) * settings.updates)
        flat = [to_flat(p, METAWORLD_LAYOUT, clones.normaliser)[0] for p in policies]
        kept.append(np.stack(flat[: 1 + settings.updates // every]))
    updates = every * np.arange(len(kept[0]), dtype=np.int64)
    return np.stack(kept, axis=1), updates


def reference_sac(training: SACTraining, env: Any, seed: int, width: int = METAWORLD_LAYOUT.hidden) -> SAC:
    """stable-baselines3's SAC with these settings and hidden layers of this width.

    Raises:
        UserError: stable-baselines3 is not installed.
    """
    try:
        from stable_baselines3 import SAC
    except ImportError:
        raise UserError(
            "stable-baselines3 is not installed.", fix="pip install 'hyprepro[sb3]' -c constraints.txt"
        ) from None
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
