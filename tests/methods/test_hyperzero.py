"""HyperZero and HyPoGen: what their networks write, what they are trained on, and how they are deployed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hyprepro.cli import app
from hyprepro.config.registry import resolve
from hyprepro.domains.base import Query
from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.domains.metaworld.domain import MetaWorld
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import METRICS, read_metrics
from hyprepro.engine.training import seeded
from hyprepro.errors import UserError
from hyprepro.experiments.recipe import Recipe
from hyprepro.methods.hypernetwork import TrainHypernetwork, WritingMethod
from hyprepro.methods.hypernetwork_net import (
    Hypernetwork,
    HypernetworkJob,
    Steps,
    TrainedHypernetwork,
    action_values,
    steps_of_tasks,
)
from hyprepro.methods.hyperzero import HyperZero
from hyprepro.methods.hypogen import HyPoGen
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import METAWORLD_LAYOUT, PolicyLayout
from tests.cheetah_stores import CheetahStores
from tests.conftest import TinyStores
from tests.gen_hyprl.test_stages import EMBEDDING, make
from tests.methods.offline_training import killed_and_continued
from tests.methods.shared import asked, named, params_of, prompted, prompts_of

KNOWN = (0.375, 1.05, 1.5)
SMALL: dict[str, Any] = {"hidden": (16,), "code": 16, "batch_size": 64, "learning_rate": 3e-3}
ZERO = HyperZero(**SMALL, steps=150)
BLOCKS = {"blocks": 2, "layer_code": 16, "codec_hidden": 32, "block_hidden": 16, "pseudo_width": 8}
GEN = HyPoGen(**SMALL, **BLOCKS, steps=150)
BOTH = pytest.mark.parametrize("method", [ZERO, GEN], ids=lambda method: method.label)
LAYOUT = PolicyLayout.mlp(17, 16, 6, ("relu",))


def network_of(method: WritingMethod, layout: PolicyLayout = LAYOUT, valued: bool = True) -> Hypernetwork:
    with seeded(0):
        return method.network(layout, 1, valued)


def stage_of(method: WritingMethod, stores: CheetahStores) -> TrainHypernetwork:
    return method.training(stores.domain.data().trained_on(named(KNOWN)), 0)


def job_of(method: WritingMethod, stores: CheetahStores) -> HypernetworkJob:
    with seeded(0):
        return stage_of(method, stores).job({})()


@BOTH
@pytest.mark.parametrize(
    "layout", [LAYOUT, PolicyLayout.mlp(17, (8, 12), 6, ("elu", "tanh"))], ids=lambda each: each.shape
)
def test_what_is_deployed_acts_as_what_was_trained(method: WritingMethod, layout: PolicyLayout) -> None:
    network, conditions = network_of(method, layout), torch.tensor([[0.3], [2.0]])
    observations = torch.randn(2, 5, 17, generator=torch.Generator().manual_seed(0))
    policy, critic = network.write(conditions)
    assert critic is not None
    assert network.value(critic, observations, network.act(policy, observations)).shape == (2, 5)
    flat = network.flat(conditions)
    assert not torch.equal(flat[0], flat[1])
    torch.testing.assert_close(StackedPolicies(layout, flat).means(observations), network.act(policy, observations))


def test_hyperzero_has_the_released_sizes_and_first_weights() -> None:
    network = network_of(HyperZero(), PolicyLayout.mlp(17, 256, 6, ("relu",)))
    widths = [tuple(part.shape) for part in network.encoder.parameters() if part.ndim == 2]
    blocks = [(64, 64)] * 4, [(128, 128)] * 4, [(256, 256)] * 4
    assert widths == [(64, 1), *blocks[0], (128, 64), *blocks[1], (256, 128), *blocks[2]]
    for heads, sizes in ((network.policies, (17, 256, 6)), (network.critics, (23, 256, 1))):
        assert heads is not None
        for number, spread in enumerate((0.05, 0.008)):
            weight, bias = heads.weights[number], heads.biases[number]
            assert weight.weight.shape == (sizes[number] * sizes[number + 1], 256)
            for head in (weight, bias):
                assert 0.9 * spread < float(head.weight.abs().max().detach()) <= spread
                assert not head.bias.any()


def test_hypogen_takes_normalised_steps_from_common_first_weights() -> None:
    one = network_of(GEN.model_copy(update={"blocks": 1})).policies
    first = one.first[0].weight
    (weight, _), _ = one(torch.randn(3, 16, generator=torch.Generator().manual_seed(0)))
    change = weight - first
    assert change.shape == (3, 16, 17)
    torch.testing.assert_close(change.square().mean((1, 2)).sqrt(), torch.full((3,), 0.01), rtol=0.01, atol=0)
    assert not torch.equal(change[0], change[1]), "the step depends on the condition"


def test_hypogen_halves_its_step_size() -> None:
    method = HyPoGen(steps=1000)
    sizes = [method.step_size(step) / method.learning_rate for step in (0, 749, 750, 899, 900, 950, 999)]
    assert sizes == [1, 1, 0.5, 0.5, 0.25, 0.125, 0.125]
    assert HyPoGen(steps=1000, halved=False).step_size(999) == method.learning_rate


def test_an_experts_value_goes_on_where_the_recording_stopped() -> None:
    rewards = np.array([5.0, 1.0, 2.0, 4.0], dtype=np.float32)
    assert action_values(rewards, 0.5, True).tolist() == [6.5, 3.0, 4.0, 4.0]
    assert action_values(rewards, 0.5, False).tolist() == pytest.approx([6.875, 3.75, 5.5, 7.0])  # then 3 a step: 6


@BOTH
def test_weights_are_written_once_a_task_for_equally_many_samples(
    method: WritingMethod, cheetah_stores: CheetahStores
) -> None:
    job, seen = job_of(method, cheetah_stores), []
    job.network.policies.register_forward_hook(lambda _, inputs, output: seen.append(len(inputs[0])))
    drawn: list[Steps] = []
    act = job.network.act
    job.network.act = lambda policy, observations: drawn.append(observations) or act(policy, observations)  # type: ignore
    job.losses()
    assert seen == [3]
    assert drawn[0].shape == (3, 21, 17)


def test_a_temporal_difference_teaches_the_critic_and_not_the_policy(cheetah_stores: CheetahStores) -> None:
    job = job_of(ZERO, cheetah_stores)
    losses = job.losses()
    losses["td_error"].backward()  # type: ignore[no-untyped-call]
    assert all(part.grad is None for part in job.network.policies.parameters())
    assert job.network.critics is not None
    assert all(part.grad.any() for part in job.network.critics.parameters() if part.grad is not None)
    parts = {name: float(loss.detach()) for name, loss in losses.items()}
    assert parts["loss"] == pytest.approx(
        parts["action_error"] + 0.01 * parts["value_error"] + 0.01 * parts["td_error"], rel=1e-5
    )


def test_without_weights_of_values_there_is_no_critic(cheetah_stores: CheetahStores) -> None:
    without = ZERO.model_copy(update={"value_weight": 0.0, "td_weight": 0.0})
    job = job_of(without, cheetah_stores)
    assert job.network.critics is None
    assert set(job.losses()) == {"loss", "action_error"}
    assert "rewards" in ZERO.information(CheetahVel())
    assert "rewards" not in without.information(CheetahVel())


def test_it_reads_the_training_velocities_alone(cheetah_stores: CheetahStores) -> None:
    for episodes, count in (("expert", 600), ("offline", 600), ("both", 1200)):
        stage = stage_of(ZERO.model_copy(update={"episodes": episodes}), cheetah_stores)
        steps, conditions = steps_of_tasks(stage, stage.episodes({}))
        assert steps.observations.shape == steps.following.shape == (count, 17)
        assert steps.rows.tolist() == sorted(steps.rows.tolist())
        assert conditions[:, 0].tolist() == pytest.approx(KNOWN), "the numbers as they are"
    standardised = stage_of(ZERO.model_copy(update={"standardised": True}), cheetah_stores)
    assert steps_of_tasks(standardised, standardised.episodes({}))[1][2, 0] == pytest.approx(0.0), (
        "1.5 m/s is the middle"
    )


def errors_of(stage: TrainHypernetwork, cache: ArtifactCache) -> list[float]:
    lines = read_metrics(make(stage, cache) / METRICS)
    return [line["validation_error"] for line in lines if "validation_error" in line]


@BOTH
def test_told_a_velocity_it_learns_and_writes_a_policy(
    method: WritingMethod, cheetah_stores: CheetahStores, tmp_path: Path
) -> None:
    stage, cache = stage_of(method, cheetah_stores), ArtifactCache(tmp_path)
    errors = errors_of(stage, cache)
    assert errors[-1] < 0.5 * errors[0]
    trained, data = stage.load(cache.path_of(stage)), cheetah_stores.domain.data()
    found = [params_of(method.deploy(trained, data, asked(velocity), 0)) for velocity in (0.3, 1.2, 1.2)]
    assert found[0].shape == (1, LAYOUT.size)
    assert np.array_equal(found[1], found[2])
    assert not np.array_equal(found[0], found[1])
    several = params_of(method.deploy(trained, data, asked(1.2)._replace(n=3), 0))
    assert np.array_equal(several, np.repeat(found[1], 3, axis=0)), "nothing is drawn"


def test_a_standardised_number_is_standardised_at_deployment_too(cheetah_stores: CheetahStores) -> None:
    method = ZERO.model_copy(update={"standardised": True, "steps": 0})
    stage = stage_of(method, cheetah_stores)
    with seeded(0):
        network = stage.job({})().network
    from hyprepro.gen_hyprl.conditions import Conditions

    trained = TrainedHypernetwork(network, Conditions(None, stage.ranges), True)
    told = torch.tensor([[(1.2 - 1.5) / (3 / 12**0.5)]])
    torch.testing.assert_close(trained.policies(asked(1.2)._replace(n=1)), network.flat(told))


def test_told_a_prompt_it_learns_too_without_a_critic(tiny_stores: TinyStores, tmp_path: Path) -> None:
    data, cache = tiny_stores.domain.data(), ArtifactCache(tmp_path)
    method = ZERO.model_copy(update={"embedding": EMBEDDING, "hidden": (), "tasks_at_once": 5, "steps": 100})
    stage = method.training(data, 0)
    assert not stage.valued
    errors = errors_of(stage, cache)
    assert errors[-1] < 0.8 * errors[0]
    trained = stage.load(cache.path_of(stage).rename(tmp_path / "elsewhere"))
    query: Query = prompted(prompts_of(data, "reach"))
    params = params_of(method.deploy(trained, data, query, 0))
    assert params.shape == (query.n, METAWORLD_LAYOUT.size)
    assert len(np.unique(params, axis=0)) == query.n, "every prompt has a policy of its own"


@BOTH
def test_a_killed_training_goes_on_to_the_same_network(
    method: WritingMethod, cheetah_stores: CheetahStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stage_of(method.model_copy(update={"steps": 8}), cheetah_stores)
    whole, broken = killed_and_continued(stage, HypernetworkJob, 5, tmp_path, monkeypatch)
    assert whole[1] == broken[1]


def test_how_it_is_deployed_is_no_part_of_the_training(cheetah_stores: CheetahStores) -> None:
    zero = ZERO.model_copy(update={"looks": 2})
    other = zero.model_copy(update={"row": "mine", "deployed": "looks"})
    assert stage_of(zero, cheetah_stores).model.described() == stage_of(other, cheetah_stores).model.described()


@BOTH
def test_looks_are_networks_of_the_training_and_the_last_is_the_last(
    method: WritingMethod, cheetah_stores: CheetahStores, tmp_path: Path
) -> None:
    looked = method.model_copy(update={"steps": 6, "looks": 3, "deployed": "looks"})
    stage, cache, data = stage_of(looked, cheetah_stores), ArtifactCache(tmp_path), cheetah_stores.domain.data()
    trained = stage.load(make(stage, cache))
    found = params_of(looked.deploy(trained, data, asked(1.2), 0))
    last = params_of(looked.model_copy(update={"deployed": "last"}).deploy(trained, data, asked(1.2), 0))
    assert len(np.unique(found, axis=0)) == 3
    assert np.array_equal(found[2:], last)
    blind = stage_of(method.model_copy(update={"steps": 6}), cheetah_stores)
    without = params_of(method.deploy(blind.load(make(blind, cache)), data, asked(1.2), 0))
    assert np.array_equal(last, without), "to look changes nothing"


def test_looks_that_are_not_kept_or_of_prompts_are_refused(tiny_stores: TinyStores) -> None:
    for settings in ({"looks": 0}, {"looks": 7, "steps": 6}):
        with pytest.raises(UserError, match="deploys the looks of its training") as caught:
            HyperZero(deployed="looks", **settings).check()
        assert "HyperZero.looks" in caught.value.where
    with pytest.raises(UserError, match="by prompts"):
        HyperZero(deployed="looks", looks=2).require(tiny_stores.domain.data())


def test_a_velocity_without_episodes(cheetah_stores: CheetahStores, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = stage_of(ZERO, cheetah_stores)
    with stage.stores.open_trajectories() as store:
        monkeypatch.setattr(type(store), "episodes", lambda *arguments: iter(()))
    with pytest.raises(UserError, match=r"no episode of velocity-0\.375 in the split validation"):
        stage.job({})


def test_a_row_says_what_it_is_trained_on() -> None:
    told = HyperZero().information(CheetahVel())
    assert told.startswith("the velocity; trained on states, actions and rewards of the training tasks' stored expert")
    assert "expert and offline" in HyPoGen(episodes="both").information(CheetahVel())
    assert HyperZero().information(MetaWorld()).startswith("the prompt; trained on states and actions of")


CHOSEN = ("standardised", "fresh_episodes", "tasks_at_once", "value_weight", "td_weight")
"""What withheld velocities chose."""


@pytest.mark.parametrize(("name", "chosen"), [("hyperzero", CHOSEN), ("dm_cheetah", ())])
def test_the_recipes_have_both_beside_ours_with_their_released_settings(name: str, chosen: tuple[str, ...]) -> None:
    for scale in ("desktop", "paper"):
        recipe = resolve(name, scale).recipe
        assert isinstance(recipe, Recipe)
        rows = {method.name: method for method in recipe.methods}
        zero, gen = rows["hyperzero"], rows["hypogen"]
        assert isinstance(zero, HyperZero)
        assert isinstance(gen, HyPoGen)
        for method in (zero, gen):
            kept = {"steps": 0, "looks": 0, "embedding": None, **dict.fromkeys(chosen)}
            assert {**method.described(), **kept} == {**type(method)().described(), **kept}
        assert {"gen-hyprl", "gen-hyprl-wo-hypformer", "interpolation", "hyperzero-looks", "expert"} < set(rows)
    assert gen.steps == 109_000


@pytest.mark.sim
def test_both_are_run_from_the_command_line(cheetah_stores: CheetahStores, tmp_path: Path) -> None:
    line = ["run", "hyperzero", "--scale", "smoke", "--workers", "0", "--cache", str(tmp_path / "cache")]
    methods = "Recipe.methods=(@HyperZero(), @looks/HyperZero(), @HyPoGen(), @Expert())"
    small = ["Recipe.withheld=(1.5,)", "Recipe.train=(10,)", "Recipe.reference='hyperzero'", "Recipe.pairs=()", methods]
    flags = [word for text in small for word in ("-b", text)]
    outcome = CliRunner().invoke(app, [*line, *flags, *cheetah_stores.bindings, "--out", str(tmp_path / "out")])
    assert outcome.exit_code == 0, outcome.output
    result = json.loads((tmp_path / "out/result.json").read_text())
    averages = {r["method"]: r["value"] for r in result["rows"] if r["task"] is None and r["statistic"] == "mean"}
    assert set(averages) == {"hyperzero", "hyperzero-looks", "hyperzero-best-look", "hypogen", "expert"}
    assert len({averages[name] for name in ("hyperzero", "hypogen", "expert")}) == 3
    assert averages["hyperzero-best-look"] >= max(averages["hyperzero"], averages["hyperzero-looks"])
    assert result["provenance"]["stages"] == 4 + 3, (
        "rows of looks share the training, both methods the fresh episodes, and the best of the looks runs nothing"
    )
    assert "at the very tasks of the table" in result["methods"]["hyperzero-best-look"]["knows"]
    for name in ("hyperzero", "hypogen"):
        assert "2 fresh ones of each expert" in result["methods"][name]["knows"]
        assert ("rewards" in result["methods"][name]["knows"]) == (name == "hyperzero"), "HyPoGen has no critic there"
        assert result["methods"][name]["training_seconds_by_n_train"]["10"] > 0
