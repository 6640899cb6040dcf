"""Stacks of agents: updates that never wait for the device, checkpoints, and the folding of a condition into a bias."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hyprepro.collect.parameter.loop import fresh
from hyprepro.collect.sac.agents import Learner, StackedSAC
from hyprepro.collect.sac.networks import Normaliser, Parameters, actor_forward, to_flat
from hyprepro.collect.sac.replay import Replay
from hyprepro.collect.sac.settings import ParameterSAC, SACSettings
from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import CHEETAH_LAYOUT, METAWORLD_LAYOUT

WAITING = ("_local_scalar_dense", "item", "nonzero", "masked_select", "is_nonzero", "equal", "unique")
"""Operations whose result, or its size, must come back to the host; a CUDA graph cannot hold them."""


class Operations(TorchDispatchMode):
    """Records what is computed, and where the results lie."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.addresses: list[int] = []

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        self.names.append(function.__name__.partition(".")[0])
        return function(*arguments, **(keywords or {}))


def learner(products: str = "float32") -> tuple[StackedSAC, Learner]:
    settings = SACSettings(batch_size=16, products=products, normalise_q=True, cloning_weight=1.0)
    generator, rng = torch.Generator().manual_seed(1), np.random.default_rng(2)
    sac = StackedSAC(settings, METAWORLD_LAYOUT, 3, generator)
    replay = Replay(3, 50, METAWORLD_LAYOUT.observation_size, METAWORLD_LAYOUT.action_size)
    for field in replay.fields.values():
        field.uniform_(-1.0, 1.0, generator=generator)
    replay.added = 50
    found = Learner(sac, replay, generator, rng)
    found._filled.fill_(50)
    return sac, found


@pytest.mark.parametrize("train_actor", [True, False])
def test_the_captured_part_never_waits_for_the_device(train_actor: bool) -> None:
    _, found = learner()
    found.on_device(train_actor)
    with Operations() as seen:
        found.on_device(train_actor)
    assert {"baddbmm", "_fused_adam_"} <= set(seen.names)
    assert not set(seen.names) & set(WAITING)
    with Operations() as seen:
        torch.ones(3)[torch.tensor([True, False, True])].sum().item()  # what the check is for
    assert set(seen.names) & set(WAITING)


def test_the_captured_part_draws_all_rows_of_every_agent() -> None:
    sac, found = learner()
    rows: list[torch.Tensor] = []
    drawn = found._replay.rows

    def recorded(numbers: torch.Tensor) -> Any:
        rows.append(numbers)
        return drawn(numbers)

    found._replay.rows = recorded  # type: ignore[method-assign]
    before = [tensor.clone() for tensor in sac.tensors()]
    for _ in range(40):
        found.on_device(True)
    for agent in range(3):
        assert set(torch.stack(rows)[:, agent].flatten().tolist()) == set(range(50))
    assert not torch.equal(torch.stack(rows)[:, 0], torch.stack(rows)[:, 1])
    moved = [not torch.equal(old, new) for old, new in zip(before, sac.tensors(), strict=True)]
    assert all(moved)


def test_values_are_put_back_in_place() -> None:
    sac, found = learner()
    kept, places = [tensor.clone() for tensor in sac.tensors()], [tensor.data_ptr() for tensor in sac.tensors()]
    found.update()
    after = [tensor.clone() for tensor in sac.tensors()]
    sac.restore(kept)
    assert all(torch.equal(old, new) for old, new in zip(kept, sac.tensors(), strict=True))
    assert [tensor.data_ptr() for tensor in sac.tensors()] == places
    again_sac, again = learner()
    again.update()
    assert all(torch.equal(old, new) for old, new in zip(after, again_sac.tensors(), strict=True))


def test_products_in_bfloat16_stay_close() -> None:
    (exact, one), (coarse, other) = learner(), learner("bfloat16")
    for _ in range(20):
        one.update()
        other.update()
    for name, tensor in exact.actor.items():
        moved = (tensor - coarse.actor[name]).abs().max()
        assert 0 < moved < 0.01, name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_graph_equals_the_step_by_step_update_on_a_gpu() -> None:
    states = []
    for graph in (True, False):
        settings = SACSettings(batch_size=16)
        generator = torch.Generator("cuda").manual_seed(3)
        sac = StackedSAC(settings, METAWORLD_LAYOUT, 2, torch.Generator().manual_seed(1), device="cuda")
        replay = Replay(2, 50, METAWORLD_LAYOUT.observation_size, METAWORLD_LAYOUT.action_size, "cuda")
        for field in replay.fields.values():
            field.uniform_(-1.0, 1.0, generator=torch.Generator("cuda").manual_seed(4))
        replay.added = 50
        found = Learner(sac, replay, generator, np.random.default_rng(0))
        found._filled.fill_(50)
        for _ in range(5):
            found.update() if graph else found.on_device(True)
        states.append([tensor.cpu() for tensor in sac.tensors()])
    for captured, plain in zip(*states, strict=True):
        torch.testing.assert_close(captured, plain, atol=1e-5, rtol=1e-4)


def test_folding_equals_the_conditioned_networks() -> None:
    generator, layout = torch.Generator().manual_seed(3), CHEETAH_LAYOUT
    parent = fresh(CheetahVel(), 18, ParameterSAC(critic_width=16), 1, generator)
    conditions = torch.tensor([[-0.9], [0.2], [1.0]])
    seen = torch.randn(3, 10, 17, generator=generator)
    told = torch.cat((seen, conditions.view(3, 1, 1).expand(3, 10, 1)), 2)
    found = parent.fold(conditions, 17)

    def critics(parameters: Parameters, x: torch.Tensor) -> torch.Tensor:
        for name in ("linear1", "linear2"):
            x = torch.relu(x @ parameters[f"{name}.weight"] + parameters[f"{name}.bias"])
        return x @ parameters["value.weight"] + parameters["value.bias"]

    wanted = actor_forward({name: t.repeat(3, 1, 1) for name, t in parent.actor.items()}, told)
    for mine, theirs in zip(actor_forward(found.actor, seen), wanted, strict=True):
        torch.testing.assert_close(mine, theirs)
    actions = torch.randn(3, 10, 6, generator=generator)
    twice = {name: t.repeat(3, 1, 1) for name, t in parent.critic.items()}
    wanted = critics(twice, torch.cat((told, actions), 2).repeat_interleave(2, 0))
    torch.testing.assert_close(critics(found.critic, torch.cat((seen, actions), 2).repeat_interleave(2, 0)), wanted)
    normaliser = Normaliser(np.linspace(-1, 1, 17), np.linspace(0.5, 4, 17))
    raw = seen.double() * torch.from_numpy(normaliser.scale) + torch.from_numpy(normaliser.mean)
    policies = StackedPolicies(layout, to_flat(found.actor, layout, normaliser))
    mean, _ = actor_forward(found.actor, seen)
    torch.testing.assert_close(policies.means(raw.float()), torch.tanh(mean), rtol=1e-4, atol=1e-4)
    assert math.isclose(float(found.log_alpha[2]), math.log(0.2), rel_tol=1e-6)


def test_an_agent_may_act_in_many_environments() -> None:
    sac, generator = learner()[0], torch.Generator().manual_seed(5)
    observations, noise = torch.randn(3, 7, 39, generator=generator), torch.randn(3, 7, 4, generator=generator)
    together = sac.act(observations, noise)
    one_by_one = [sac.act(observations[:, i], noise[:, i]) for i in range(7)]
    np.testing.assert_allclose(together, np.stack(one_by_one, 1), atol=1e-6)
