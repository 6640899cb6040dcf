"""Policies and prompts with the structure that trained ones show, in memory and as stores.

A policy is a common parent plus an offset of its task, an offset of its SAC seed, drift along its training run, and
noise; all offsets lie in low-dimensional spaces. A prompt tells its task, a goal (which its policy does not depend
on), and a little of the drift.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TAU, TAU_HAT, OBSERVATION = 1020, 117, 39


@dataclass(frozen=True)
class Zoo:
    """A synthetic collection.

    Attributes:
        params: `[N, P]`.
        owner: Task of each policy `[N]`.
        tau: `[M, 1020]`.
        tau_hat: `[M, 117]`.
        task: Task of each prompt `[M]`.
        policy: Policy of each prompt `[M]`.
        observations: What policies observe `[100, 39]`.
    """

    params: Tensor
    owner: Tensor
    tau: Tensor
    tau_hat: Tensor
    task: Tensor
    policy: Tensor
    observations: Tensor


def zoo(
    size: int,
    tasks: int = 10,
    per_task: int = 60,
    prompts: int = 200,
    seeds: int = 3,
    prompt_noise: float = 0.2,
    seed: int = 0,
) -> Zoo:
    """A zoo of `tasks * per_task` policies of `size` parameters and `tasks * prompts` prompts."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    parent = 0.1 * normal(size)
    task_basis, drift_basis = normal(12, size), normal(6, size)
    task_code, seed_code = normal(tasks, 12), normal(tasks, seeds, 12)
    drift_code = normal(tasks, seeds, 6)
    owner = torch.arange(tasks).repeat_interleave(per_task)
    run = torch.arange(tasks * per_task) % seeds
    progress = torch.rand(tasks * per_task, generator=generator)
    drift = progress[:, None] * drift_code[owner, run]
    offsets = task_code[owner] + 0.3 * seed_code[owner, run]
    params = parent + 0.01 * offsets @ task_basis + 0.005 * drift @ drift_basis + 0.002 * normal(len(owner), size)

    task = torch.arange(tasks).repeat_interleave(prompts)
    policy = task * per_task + torch.randint(per_task, (len(task),), generator=generator)
    goal = normal(len(task), 3)
    code = torch.cat([task_code[task], 0.5 * drift[policy]], dim=1)

    def observed(length: int) -> Tensor:
        task_map, goal_map = normal(code.shape[1], length) / 4, normal(3, length) / 2
        return code @ task_map + goal @ goal_map + prompt_noise * normal(len(task), length)

    return Zoo(params, owner, observed(TAU), observed(TAU_HAT), task, policy, normal(100, OBSERVATION))
