"""The stages on tiny stores: the whole chain, determinism, survival of kill -9, and what is never read."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from hyprepro.engine import training
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.plan import missing
from hyprepro.engine.stage import Stage, read_metrics
from hyprepro.gen_hyprl.assembled import Assemble
from hyprepro.gen_hyprl.autoencoder import LinearAutoencoder, PCAAutoencoder
from hyprepro.gen_hyprl.autoencoder_net import AutoencoderJob
from hyprepro.gen_hyprl.discriminator import LinearAuxHead, MLPDiscriminator
from hyprepro.gen_hyprl.embedding import ContrastiveEmbedding
from hyprepro.gen_hyprl.generators import MLPUNetGenerator, UNet1DGenerator
from hyprepro.gen_hyprl.hypformer import HypFormer, MeanAggregator
from hyprepro.gen_hyprl.hyplatent import HypLatent
from hyprepro.gen_hyprl.parameter_space import reordered
from hyprepro.methods.base import draw_seed
from hyprepro.methods.gen_hyprl import GenHypRL, GenHypRLWithoutHypFormer, LatentMethod
from hyprepro.methods.make_an_agent import LatentDiffusion, MakeAnAgent
from hyprepro.methods.regressor import MLPRegressor, MSERegressor
from hyprepro.policies.controllers import PolicyControllers
from hyprepro.stores.files import StoreFiles
from hyprepro.stores.policy_store import PolicyStore
from hyprepro.stores.prompts import Prompts, read_prompts
from hyprepro.stores.training_data import held_out_rows, training_observations, training_policies, training_prompts
from tests.conftest import TinyStores
from tests.methods.shared import prompted

AUTOENCODER = LinearAutoencoder(latent_size=8, steps=4, batch_size=4)
EMBEDDING = ContrastiveEmbedding(embedding_size=8, prompt_hidden=(16,), outcome_hidden=16, steps=6, batch_size=8)
HYPLATENT = HypLatent(
    generator=UNet1DGenerator(channels=(4, 8), patch=2, context=16),
    discriminator=MLPDiscriminator(hidden=(16, 16, 8)),
    noise_size=4,
    steps=6,
    batch_size=8,
)
HYPFORMER = HypFormer(candidates=3, width=16, heads=4, feedforward=16, bank=4, steps=6, batch_size=8)
WHOLE = GenHypRL(autoencoder=AUTOENCODER, embedding=EMBEDDING, hyplatent=HYPLATENT, hypformer=HYPFORMER)
WITHOUT = GenHypRLWithoutHypFormer(autoencoder=AUTOENCODER, embedding=EMBEDDING, hyplatent=HYPLATENT)
REGRESSOR = MSERegressor(
    autoencoder=AUTOENCODER, embedding=EMBEDDING, regressor=MLPRegressor(hidden=(16,), steps=6, batch_size=8)
)
DIFFUSION = LatentDiffusion(channels=(8, 16), step_embedding=8, inference_steps=4, steps=6, batch_size=8)
BLANK = prompted(Prompts("reach", "test", np.zeros((2, 1020), "f"), np.zeros((2, 117), "f"), *np.zeros((2, 2), "i8")))
MAA = MakeAnAgent(autoencoder=AUTOENCODER, embedding=EMBEDDING, diffusion=DIFFUSION)


def make(stage: Stage, cache: ArtifactCache) -> Path:
    """Make a stage and all that it needs, in this process."""
    for needed in missing([stage], cache):
        cache.make(needed)
    return cache.path_of(stage)


def digests(stage: Stage, cache: ArtifactCache) -> dict[str, str]:
    parts = {cache.name_of(stage): cache.manifest(stage)["digest"]}
    for source in stage.inputs.values():
        parts |= digests(source, cache)
    return parts


@pytest.fixture(scope="module")
def files(tiny_stores: TinyStores) -> StoreFiles:
    return tiny_stores.domain.data()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ArtifactCache:
    return ArtifactCache(tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("method", [WHOLE, WITHOUT, REGRESSOR, MAA], ids=lambda method: method.label)
def test_a_method_trains_and_deploys_one_policy_a_prompt(
    method: LatentMethod, files: StoreFiles, cache: ArtifactCache
) -> None:
    stage = method.training(files, seed=1)
    trained = stage.load(make(stage, cache))
    with files.open_trajectories() as store:
        prompts = read_prompts(store, "reach", "test")
    controllers, again = (method.deploy(trained, files, prompted(prompts), seed=1) for _ in range(2))
    assert isinstance(controllers, PolicyControllers)
    assert controllers.params.shape == (len(prompts), 22664)
    assert isinstance(again, PolicyControllers)
    params = np.asarray(controllers.params)
    assert np.isfinite(params).all()
    assert np.array_equal(params, np.asarray(again.params))
    drawn = [trained.latents(prompted(prompts), torch.Generator().manual_seed(s)) for s in (0, 1)]
    assert torch.equal(*drawn) == (method is REGRESSOR)  # noise makes the generator's policies differ


def test_generated_policies_stay_near_the_training_policies(files: StoreFiles, cache: ArtifactCache) -> None:
    stage = WHOLE.training(files, seed=1)
    trained = stage.load(make(stage, cache))
    params, _ = training_policies(files.policies)
    with files.open_trajectories() as store:
        prompts = read_prompts(store, "reach", "train")
    generated = trained.policies(prompted(prompts), torch.Generator().manual_seed(0))
    center, spread = params.mean(0), (params - params.mean(0)).norm(dim=1).max()
    assert ((generated - center).norm(dim=1) < 3 * spread).all()


def test_the_same_stages_twice_give_the_same_digests_and_another_seed_another_generator(
    files: StoreFiles, cache: ArtifactCache, tmp_path: Path
) -> None:
    stage, other = WHOLE.training(files, seed=1), WHOLE.training(files, seed=2)
    second = ArtifactCache(tmp_path)
    for where in (cache, second):
        make(stage, where)
    make(other, cache)
    assert digests(stage, cache) == digests(stage, second)
    assert stage.autoencoder == other.autoencoder
    assert cache.manifest(stage.generator)["digest"] != cache.manifest(other.generator)["digest"]


def test_an_assembled_method_needs_no_other_artifact(files: StoreFiles, tmp_path: Path) -> None:
    stage, cache = WHOLE.training(files, seed=1), ArtifactCache(tmp_path)
    path = make(stage, cache)
    moved = path.rename(tmp_path / "elsewhere")
    for source in tmp_path.iterdir():
        if source != moved and source.name != "locks":
            for file in sorted(source.rglob("*"), reverse=True):
                file.unlink()
            source.rmdir()
    assert stage.load(moved).policies(BLANK, torch.Generator().manual_seed(0)).shape == (2, 22664)


def test_metrics_hold_losses_and_validation(files: StoreFiles, cache: ArtifactCache) -> None:
    stage = WHOLE.training(files, seed=1)
    make(stage, cache)
    diffusion = MAA.training(files, seed=1).generator
    make(diffusion, cache)
    assert stage.hypformer is not None
    expected = {
        stage.autoencoder: {"loss", "validation_error"},
        stage.embedding: {"loss", "validation_accuracy", "validation_task_accuracy"},
        stage.generator: {"generator_loss", "discriminator_loss", "regulariser", "validation_error"},
        stage.hypformer: {"similarity_loss", "residue_loss", "consistency_loss", "validation_error"},
        diffusion: {"loss", "validation_error", "validation_error_of_mean", "validation_diversity"},
    }
    for part, names in expected.items():
        lines = read_metrics(cache.path_of(part) / "metrics.jsonl")
        assert names <= {name for line in lines for name in line}, part.kind


def test_training_reads_no_test_policy_and_no_test_prompt(files: StoreFiles) -> None:
    params, _ = training_policies(files.policies)
    with PolicyStore.open(files.policies.path) as store:
        train = {task: store.read(task, store.rows(task, "train")) for task in store.tasks}
        test_rows = {task: set(store.rows(task, "test").tolist()) for task in store.tasks}
    assert np.array_equal(params.numpy(), np.concatenate(list(train.values())))
    with files.open_trajectories() as trajectories:
        tested = np.concatenate([read_prompts(trajectories, task, "test").tau for task in train])
    seen = {row.tobytes() for row in tested}
    for prompts in training_prompts(files, 0.1):
        assert len(prompts)
        assert not any(row.tobytes() in seen for row in prompts.tau.numpy())
        for number, task in enumerate(train):
            assert not test_rows[task] & set(prompts.policy_row[prompts.task == number].tolist())


def test_training_and_validation_prompts_do_not_overlap(files: StoreFiles) -> None:
    training_set, held_out = (
        {row.tobytes() for row in prompts.tau.numpy()} for prompts in training_prompts(files, 0.1)
    )
    assert not training_set & held_out


@pytest.mark.parametrize(("count", "share", "expected"), [(100, 0.05, 5), (2, 0.05, 1), (1, 0.5, 0), (10, 0.0, 0)])
def test_held_out_rows(count: int, share: float, expected: int) -> None:
    rows, held_out = held_out_rows(count, share)
    assert len(held_out) == expected
    assert sorted([*rows.tolist(), *held_out.tolist()]) == list(range(count))


def test_noise_seeds_differ_by_seed_and_task() -> None:
    seeds = {draw_seed(seed, task) for seed in range(5) for task in ("reach", "door-open")}
    assert len(seeds) == 10


VARIANTS = {
    "released": {
        "generator": MLPUNetGenerator(widths=(16, 8)),
        "aux_head": LinearAuxHead(),
        "condition": "h",
        "regulariser": "separate",
        "generator_steps": 2,
        "latent_scaling": "minmax",
        "average_decay": 0.0,
        "lambda_reg": 1000.0,
    },
    "paper": {
        "generator_loss": "saturating",
        "label_smoothing": False,
        "supervised_weight": 0.0,
        "lambda_reg": 1000.0,
        "latent_scaling": "none",
    },
    "supervised alone": {"adversarial_weight": 0.0, "lambda_reg": 0.0},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_reading_of_hyplatent_trains(name: str, files: StoreFiles, cache: ArtifactCache) -> None:
    stage = WITHOUT.model_copy(update={"hyplatent": HYPLATENT.model_copy(update=VARIANTS[name])}).training(files, 0)
    model = stage.generator.load(make(stage.generator, cache))
    before = HYPLATENT.model_copy(update=VARIANTS[name])
    torch.manual_seed(0)
    latents = model.generate(torch.zeros(2, 8), torch.zeros(2, 8), torch.randn(2, before.noise_size))
    assert latents.shape == (2, 2, 8)
    assert torch.isfinite(latents).all()


@pytest.mark.parametrize("changes", [{"evaluated": "last"}, {"latent_scaling": "minmax", "clip": 1.0}, {"steps": 0}])
def test_every_reading_of_the_diffusion_trains(
    changes: dict[str, object], files: StoreFiles, cache: ArtifactCache
) -> None:
    base = MAA.training(files, 0).generator
    stage = MAA.model_copy(update={"diffusion": DIFFUSION.model_copy(update=changes)}).training(files, 0).generator
    models = [part.load(make(part, cache)) for part in (base, stage)]
    h, v, noise = torch.zeros(2, 8), torch.zeros(2, 8), torch.randn(2, 2, 8)
    first, second = (model.generate(h, v, noise) for model in models)
    assert torch.isfinite(second).all()
    assert not torch.allclose(first, second)


READINGS = [
    {
        "attention": "batch",
        "residue_target": "mean_candidate",
        "residue_loss": "smooth_l1",
        "condition": "h",
        "bank": 0,
    },
    {"similarity": "paper", "latent_skip": False},
]


@pytest.mark.parametrize("changes", READINGS, ids=("released", "paper"))
def test_every_reading_of_hypformer_trains(changes: dict[str, object], files: StoreFiles, cache: ArtifactCache) -> None:
    stage = WHOLE.model_copy(update={"hypformer": HYPFORMER.model_copy(update=changes)}).training(files, 0)
    assert stage.hypformer is not None
    model = stage.hypformer.load(make(stage.hypformer, cache))
    latents = model.aggregate(torch.zeros(2, 3, 2, 8), torch.zeros(2, 8), torch.zeros(2, 8))
    assert torch.isfinite(latents).all()


def test_the_mean_candidate_takes_hypformers_place_without_training(files: StoreFiles, cache: ArtifactCache) -> None:
    averaged = WHOLE.model_copy(update={"hypformer": MeanAggregator(candidates=3)}).training(files, 1)
    single = WITHOUT.training(files, 1)
    assert averaged.generator == single.generator
    trained, generator = averaged.load(make(averaged, cache)), single.load(make(single, cache)).source
    h, v = trained.conditions.of(BLANK)
    noise = torch.randn(3, 2, generator.noise_size, generator=torch.Generator().manual_seed(5))
    expected = torch.stack([generator.generate(h, v, n) for n in noise]).mean(0)
    assert torch.allclose(trained.latents(BLANK, torch.Generator().manual_seed(5)), expected, atol=1e-6)


def test_noise_on_the_condition_changes_what_is_learned(files: StoreFiles, cache: ArtifactCache) -> None:
    weights = []
    for noise in (0.0, 0.5):
        settings = HYPLATENT.model_copy(update={"condition_noise": noise})
        stage = WITHOUT.model_copy(update={"hyplatent": settings}).training(files, 1).generator
        weights.append(stage.load(make(stage, cache)).state_dict())
    assert not all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items() if "scaling" in name)


def test_an_aligning_autoencoder_goes_on_from_a_checkpoint_with_the_same_policies(files: StoreFiles) -> None:
    settings = AUTOENCODER.model_copy(update={"alignment": "hidden_units"})
    params, layout = training_policies(files.policies)
    orders = torch.rand(2, len(params), layout.hidden, generator=torch.Generator().manual_seed(0)).argsort(2)
    shuffled = reordered(layout, params, *orders)
    observations = training_observations(files, "prompts")
    fresh = AutoencoderJob(settings, layout, shuffled, observations)
    resumed = AutoencoderJob(settings, layout, shuffled, observations)
    fresh.start()
    resumed.kept.load_state_dict(fresh.kept.state_dict())
    losses = []
    for job in (fresh, resumed):
        torch.manual_seed(0)
        losses.append(float(job.step(0)["loss"]))
    assert losses[0] == losses[1]
    with torch.no_grad():
        assert fresh.validate()["validation_error"] < 1


def test_pca_trains_without_a_step(files: StoreFiles, cache: ArtifactCache) -> None:
    stage = (
        WHOLE.model_copy(update={"autoencoder": PCAAutoencoder(latent_size=8, input_noise=0.0)})
        .training(files, 0)
        .autoencoder
    )
    model = stage.load(make(stage, cache))
    params, _ = training_policies(files.policies)
    error = (model.decode(model.encode(params)) - params).square().sum() / (params - params.mean(0)).square().sum()
    assert error < 0.4  # 8 components a chunk for 11 policies of independent noise


def _run_until_killed(stage: Stage, root: Path) -> None:
    training.SECONDS_BETWEEN_CHECKPOINTS = 0.0
    training.LARGEST_SHARE = 1.0
    save = training._Checkpoint.save_if_due

    def save_and_wait(checkpoint: training._Checkpoint, step: int) -> None:
        save(checkpoint, step)
        time.sleep(0.05)  # so that it is killed in the middle on a busy machine too

    training._Checkpoint.save_if_due = save_and_wait  # type: ignore[method-assign]
    torch.set_num_threads(1)
    ArtifactCache(root).make(stage)


@pytest.mark.parametrize("part", ["autoencoder", "embedding", "generator", "hypformer", "diffusion"])
def test_killed_with_sigkill_a_stage_ends_with_the_same_weights(
    part: str, files: StoreFiles, cache: ArtifactCache, tmp_path: Path
) -> None:
    steps = {"steps": 100 if part == "autoencoder" else 250}
    method = GenHypRL(
        autoencoder=AUTOENCODER.model_copy(update=steps if part == "autoencoder" else {}),
        embedding=EMBEDDING.model_copy(update=steps if part == "embedding" else {}),
        hyplatent=HYPLATENT.model_copy(update=steps if part == "generator" else {}),
        hypformer=HYPFORMER.model_copy(update=steps if part == "hypformer" else {}),
    )
    stage: Assemble = method.training(files, seed=3)
    if part == "diffusion":
        longer = DIFFUSION.model_copy(update={"steps": 100})
        stage = MAA.model_copy(update={"diffusion": longer}).training(files, seed=3)
    target: Stage = getattr(stage, "generator" if part == "diffusion" else part)
    make(target, cache)
    killed = ArtifactCache(tmp_path)
    for source in missing([target], killed):
        if source != target:
            killed.make(source)
    process = multiprocessing.get_context("spawn").Process(target=_run_until_killed, args=(target, tmp_path))
    process.start()
    checkpoint = killed.work_of(target) / training.CHECKPOINT
    while not checkpoint.exists():
        assert process.is_alive()
        time.sleep(0.005)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert checkpoint.exists(), "it was over before it was killed"
    killed.make(target)
    assert killed.manifest(target)["digest"] == cache.manifest(target)["digest"]
    assert not list(killed.path_of(target).glob("checkpoint*"))
