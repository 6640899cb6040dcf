"""Gen-HypRL: L at deployment and in training; what it trains on and generates where numbers are the condition."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from hyprepro.domains.base import Data
from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.engine.cache import ArtifactCache
from hyprepro.gen_hyprl import hypformer_net as hypformer
from hyprepro.gen_hyprl.autoencoder import LinearAutoencoder
from hyprepro.gen_hyprl.conditions import condition
from hyprepro.gen_hyprl.generators import MLPUNetGenerator
from hyprepro.gen_hyprl.hypformer import HypFormer, MeanAggregator
from hyprepro.gen_hyprl.hyplatent import HypLatent
from hyprepro.methods.gen_hyprl import GenHypRL, GenHypRLWithoutHypFormer, LatentMethod
from tests.cheetah_stores import CHECKPOINTS, CheetahStores
from tests.conftest import TinyStores
from tests.gen_hyprl.test_stages import HYPFORMER, WHOLE, make
from tests.methods.shared import asked, named, params_of, prompted, prompts_of


def with_tokens(**values: object) -> GenHypRL:
    return WHOLE.model_copy(update={"adaptation": None} | values)


def test_l_at_deployment_changes_the_policies_and_trains_nothing_anew(tiny_stores: TinyStores, tmp_path: Path) -> None:
    data = tiny_stores.domain.data()
    stage = WHOLE.training(data, 0)
    trained, prompts = stage.load(make(stage, ArtifactCache(tmp_path))), prompts_of(data, "reach")

    def deployed(method: GenHypRL) -> torch.Tensor:
        return torch.from_numpy(params_of(method.deploy(trained, data, prompted(prompts), 0)))

    as_trained, more = deployed(with_tokens()), with_tokens(candidates=512, row="many")
    assert more.training(data, 0).key == stage.key
    assert torch.equal(deployed(with_tokens(candidates=HYPFORMER.candidates)), as_trained)
    assert deployed(more).shape == as_trained.shape
    assert not torch.allclose(deployed(more), as_trained)


@pytest.mark.parametrize(("candidates", "bank"), [(2, HYPFORMER.bank), (32, 0)])
def test_retrained_trains_with_l_and_never_from_a_smaller_bank(
    tiny_stores: TinyStores, candidates: int, bank: int
) -> None:
    stage = with_tokens(candidates=candidates, retrained=True).training(tiny_stores.domain.data(), 0).hypformer
    assert stage is not None
    assert (stage.model.candidates, stage.model.bank) == (candidates, bank)


def test_retrained_without_l_changes_nothing(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data()
    assert with_tokens(retrained=True).training(data, 0).key == WHOLE.training(data, 0).key


@pytest.mark.parametrize("candidates", [0, -1])
def test_l_below_one_is_refused(candidates: int) -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        GenHypRL(candidates=candidates)


def test_attention_in_blocks_of_prompts_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = HYPFORMER.build(8, 4).eval()
    for head in (model.latent_head, model.residue_head):  # which start at zero
        torch.nn.init.normal_(head[-1].weight)
    candidates, h, v = torch.randn(7, 5, 2, 4), torch.randn(7, 8), torch.randn(7, 8)
    with torch.no_grad():
        whole = model.aggregate(candidates, h, v)
        monkeypatch.setattr(hypformer, "LARGEST_ATTENTION", 2 * 4 * 7**2)  # two prompts of 5 + 2 tokens
        torch.testing.assert_close(model.aggregate(candidates, h, v), whole)
        monkeypatch.setattr(hypformer, "LARGEST_ATTENTION", 1)
        torch.testing.assert_close(model.aggregate(candidates, h, v), whole)


def test_attention_over_the_batch_is_never_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    model = HYPFORMER.model_copy(update={"attention": "batch"}).build(8, 4).eval()
    candidates, h, v = torch.randn(7, 5, 2, 4), torch.randn(7, 8), torch.randn(7, 8)
    with torch.no_grad():
        whole = model.aggregate(candidates, h, v)
        monkeypatch.setattr(hypformer, "LARGEST_ATTENTION", 1)
        assert torch.equal(model.aggregate(candidates, h, v), whole)


KNOWN = (0.375, 0.75, 1.05, 1.5, 1.95, 2.325)
CENTER, DEVIATION = 1.5, 3 / 12**0.5
PARTS = {
    "autoencoder": LinearAutoencoder(latent_size=16, steps=5, input_noise=0.1),
    "hyplatent": HypLatent(noise_size=4, steps=150, batch_size=16),
    "draws": 5,
}


@pytest.fixture(scope="module")
def velocities(cheetah_stores: CheetahStores) -> Data:
    return cheetah_stores.domain.data().trained_on(named(KNOWN))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ArtifactCache:
    return ArtifactCache(tmp_path_factory.mktemp("cache"))


def generated(method: LatentMethod, data: Data, cache: ArtifactCache, target: float) -> np.ndarray:
    stage = method.training(data, 0)
    return params_of(method.deploy(stage.load(make(stage, cache)), data, asked(target), 0))


def test_the_generator_follows_the_velocity(velocities: Data, cache: ArtifactCache) -> None:
    method = GenHypRLWithoutHypFormer(**PARTS)
    means = {target: generated(method, velocities, cache, target).mean(0) for target in (0.6, 1.8)}
    with velocities.open_policies() as store:
        true = {target: store.read(f"velocity-{target:.3f}", [0]).mean(0) for target in means}
    near, far = np.linalg.norm(means[0.6] - true[0.6]), np.linalg.norm(means[0.6] - true[1.8])
    assert near < 0.5 * far
    assert np.linalg.norm(means[1.8] - true[1.8]) < 0.5 * np.linalg.norm(means[1.8] - true[0.6])


def test_draws_for_a_velocity_differ_and_are_repeated_with_the_seed(velocities: Data, cache: ArtifactCache) -> None:
    method = GenHypRLWithoutHypFormer(**PARTS)
    once, again = (generated(method, velocities, cache, 1.2) for _ in range(2))
    assert np.array_equal(once, again)
    assert once.shape[0] == 5
    assert np.abs(once - once.mean(0)).max() > 0
    stage = method.training(velocities, 0)
    asked_for = asked(1.2)._replace(n=2)
    assert len(params_of(method.deploy(stage.load(make(stage, cache)), velocities, asked_for, 0))) == 2


@pytest.mark.parametrize(
    "method",
    [
        GenHypRL(**PARTS, hypformer=HypFormer(steps=10, width=16, heads=4, bank=8)),
        GenHypRL(**PARTS, hypformer=MeanAggregator()),
        GenHypRLWithoutHypFormer(
            **{**PARTS, "hyplatent": HypLatent(generator=MLPUNetGenerator(widths=(32,)), noise_size=4, steps=5)}
        ),
    ],
    ids=["hypformer", "mean", "mlp-unet"],
)
def test_other_parts_on_velocities(method: LatentMethod, velocities: Data, cache: ArtifactCache) -> None:
    assert np.isfinite(generated(method, velocities, cache, 1.2)).all()


def test_it_is_trained_on_the_training_velocities_alone(velocities: Data, cache: ArtifactCache) -> None:
    latents = GenHypRLWithoutHypFormer(**PARTS).training(velocities, 0).generator.latents
    train, held_out = latents.load(make(latents, cache))
    seen = np.concatenate([part.h[:, 0] * DEVIATION + CENTER for part in (train, held_out)])
    assert np.unique(seen.round(3)) == pytest.approx(KNOWN)
    assert len(seen) == len(KNOWN) * CHECKPOINTS
    assert train.v.shape == (len(train), 0)


def test_the_last_checkpoints_alone(velocities: Data, cache: ArtifactCache) -> None:
    latents = GenHypRLWithoutHypFormer(**PARTS, newest=1).training(velocities, 0).generator.latents
    assert sum(len(part) for part in latents.load(make(latents, cache))) == len(KNOWN)


def test_mixtures_of_neighbours(velocities: Data, cache: ArtifactCache) -> None:
    plain, mixed = (
        GenHypRLWithoutHypFormer(**PARTS, between=count).training(velocities, 0).generator.latents for count in (0, 2)
    )
    (known, held_out), (found, same) = (each.load(make(each, cache)) for each in (plain, mixed))
    assert np.array_equal(held_out.h, same.h), "nothing is validated on mixtures"
    assert np.array_equal(found.h[: len(known)], known.h)
    speeds = found.h[len(known) :, 0].numpy() * DEVIATION + CENTER
    between = [low + (high - low) * k / 3 for low, high in pairwise(KNOWN) for k in (1, 2)]
    assert np.unique(speeds.round(4)) == pytest.approx(between, abs=1e-4)
    first = np.flatnonzero(np.isclose(speeds, between[0], atol=1e-4))[-1] + len(known)
    ends = [known.latents[known.task == number][-1] for number in (0, 1)]
    np.testing.assert_allclose(found.latents[first], ends[0] + (ends[1] - ends[0]) / 3, atol=1e-4)


def test_several_numbers_are_standardised_each_by_its_own_range() -> None:
    ranges = ((0.0, 3.0), (-1.0, 1.0))
    h, v = condition(torch.tensor([[1.5, 0.0], [3.0, -1.0]]), ranges)
    np.testing.assert_allclose(h, [[0.0, 0.0], [3**0.5, -(3**0.5)]], atol=1e-6)
    assert v.shape == (2, 0)


def test_settings_of_the_other_condition_change_nothing(tiny_stores: TinyStores, velocities: Data) -> None:
    prompts = tiny_stores.domain.data()
    numbers = {"between": 3, "checkpoints": 2, "draws": 7}
    assert WHOLE.model_copy(update=numbers).training(prompts, 0).key == WHOLE.training(prompts, 0).key
    told = {"hyplatent": HypLatent(condition="h"), "hypformer": HypFormer(condition="h"), "adaptation": None}
    assert GenHypRL(**told).training(velocities, 0).key == GenHypRL().training(velocities, 0).key


def test_a_row_says_what_it_is_told() -> None:
    assert GenHypRL().information(CheetahVel()).startswith("the velocity; ")
    assert "fitted" not in GenHypRL().information(CheetahVel())
    assert GenHypRL(row="mine").name == "mine"


def test_assembled_on_velocities_it_needs_no_other_artifact(velocities: Data, tmp_path: Path) -> None:
    stage = GenHypRLWithoutHypFormer(**PARTS).training(velocities, 0)
    moved = make(stage, ArtifactCache(tmp_path / "cache")).rename(tmp_path / "elsewhere")
    assert stage.load(moved).policies(asked(1.2)._replace(n=2), torch.Generator().manual_seed(0)).shape == (2, 6092)
