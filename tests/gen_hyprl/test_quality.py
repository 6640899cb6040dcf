"""Do the default settings learn? On policies with the structure of trained ones, against simple references.

The full-size version of this experiment (600 policies of 22,664 parameters, D = 256) tuned the defaults; this is a
small one.
"""

from __future__ import annotations

from functools import cache

import torch

from hyprepro.engine.training import Job, frozen, seeded
from hyprepro.gen_hyprl.autoencoder import LinearAutoencoder
from hyprepro.gen_hyprl.autoencoder_net import AutoencoderJob, PolicyAutoencoder
from hyprepro.gen_hyprl.conditions import LatentSamples
from hyprepro.gen_hyprl.discriminator import MLPDiscriminator
from hyprepro.gen_hyprl.embedding import ContrastiveEmbedding
from hyprepro.gen_hyprl.embedding_net import EmbeddingJob
from hyprepro.gen_hyprl.generators import UNet1DGenerator
from hyprepro.gen_hyprl.hypformer import HypFormer
from hyprepro.gen_hyprl.hypformer_net import HypFormerJob
from hyprepro.gen_hyprl.hyplatent import HypLatent
from hyprepro.gen_hyprl.hyplatent_net import HypLatentJob
from hyprepro.methods.make_an_agent import LatentDiffusion
from hyprepro.methods.make_an_agent_net import LatentDiffusionJob
from hyprepro.methods.regressor import MLPRegressor
from hyprepro.methods.regressor_net import RegressorJob
from hyprepro.policies.layout import PolicyLayout
from hyprepro.stores.training_data import PromptSet
from tests.synthetic import Zoo, zoo

LAYOUT = PolicyLayout.mlp(39, 16, 4, ("relu", "relu"))


def trained(job: Job, steps: int) -> dict[str, float]:
    """Train a job for some steps and return its validation metrics."""
    job.start()
    for module in job.modules.values():
        module.train()
    for step in range(steps):
        job.step(step)
    for module in job.modules.values():
        module.eval()
    job.finish()
    with torch.no_grad():
        return job.validate()


@cache
def data() -> tuple[Zoo, torch.Tensor]:
    """A zoo, and which of its prompts are held out."""
    policies = zoo(LAYOUT.size, tasks=6, per_task=24, prompts=80)
    return policies, torch.arange(len(policies.task)) % 8 == 0


def encoded() -> tuple[LatentSamples, LatentSamples, dict[str, float]]:
    """Training and held-out prompts as the later stages see them, and the first stages' metrics."""
    return first_stages()[:3]


@cache
def first_stages() -> tuple[LatentSamples, LatentSamples, dict[str, float], PolicyAutoencoder]:
    """The same, and E and D."""
    policies, held_out = data()

    def prompts(rows: torch.Tensor) -> PromptSet:
        return PromptSet(policies.tau[rows], policies.tau_hat[rows], policies.task[rows], policies.policy[rows])

    with seeded(0):
        linear = LinearAutoencoder(latent_size=32, steps=20)
        autoencoder = AutoencoderJob(linear, LAYOUT, policies.params, policies.observations)
        metrics = trained(autoencoder, linear.steps)
        settings = ContrastiveEmbedding(steps=200, prompt_hidden=(64,), outcome_hidden=64, embedding_size=32)
        embedding = EmbeddingJob(settings, prompts(~held_out), prompts(held_out))
        metrics |= {f"embedding_{name}": value for name, value in trained(embedding, 200).items()}
    encoder, embed = frozen(autoencoder.kept), frozen(embedding.kept)
    latents = encoder.encode(policies.params)

    def split(rows: torch.Tensor) -> LatentSamples:
        h, v = embed.embed(policies.tau[rows], policies.tau_hat[rows])
        return LatentSamples(h, v, policies.policy[rows], latents, policies.task[rows])

    return split(~held_out), split(held_out), metrics, encoder


@cache
def generator() -> tuple[HypLatentJob, dict[str, float]]:
    """HypLatent with the default way of training and a small network."""
    training, held_out, _ = encoded()
    settings = HypLatent(
        steps=250,
        generator=UNet1DGenerator(channels=(8, 16), context=64, patch=4),
        discriminator=MLPDiscriminator(hidden=(64, 64, 32)),
        noise_size=16,
    )
    with seeded(0):
        job = HypLatentJob(settings, training, held_out)
        return job, trained(job, settings.steps)


def error_of_task_means() -> float:
    """What one reaches who knows the task and nothing else: the mean latent of the task."""
    training, held_out, _ = encoded()
    known, wanted = training.latents[training.policy], held_out.latents[held_out.policy]
    means = torch.stack([known[training.task == task].mean(0) for task in range(6)])
    variance = (wanted - known.mean(0)).square().mean()
    return float((means[held_out.task] - wanted).square().mean() / variance)


def test_the_autoencoder_keeps_held_out_policies() -> None:
    assert encoded()[2]["validation_error"] < 0.05


def test_the_embedding_tells_held_out_prompts_apart() -> None:
    metrics = encoded()[2]
    assert metrics["embedding_validation_task_accuracy"] > 0.95
    assert metrics["embedding_validation_accuracy"] > 0.5


def test_hyplatent_reaches_the_task_mean_and_nearly_the_regressor() -> None:
    training, held_out, _ = encoded()
    settings = MLPRegressor(hidden=(64, 64), steps=250)
    with seeded(0):
        regressor = trained(RegressorJob(settings, training, held_out), settings.steps)["validation_error"]
    generated = generator()[1]["validation_error"]
    assert generated < 1.2 * error_of_task_means()
    assert generated < 1.1 * regressor


def test_hyplatents_draws_differ_but_agree() -> None:
    metrics = generator()[1]
    assert 0 < metrics["validation_diversity"] < metrics["validation_error"]
    assert metrics["validation_error_of_mean"] < metrics["validation_error"]


def test_hypformer_is_no_worse_than_one_draw() -> None:
    training, held_out, _ = encoded()
    job, metrics = generator()
    settings = HypFormer(steps=150, width=32, heads=8, feedforward=64, bank=16)
    with seeded(0):
        former = HypFormerJob(settings, frozen(job.kept), training, held_out, seed=0)
        aggregated = trained(former, settings.steps)["validation_error"]
    assert aggregated < 1.02 * metrics["validation_error"]


@cache
def diffusion() -> tuple[LatentDiffusionJob, dict[str, float]]:
    """Make-An-Agent's diffusion with a small network and larger steps."""
    training, held_out, _ = encoded()
    settings = LatentDiffusion(steps=200, channels=(32, 64), batch_size=64, learning_rate=3e-3)
    with seeded(0):
        job = LatentDiffusionJob(settings, training, held_out)
        return job, trained(job, settings.steps)


def test_make_an_agents_diffusion_nearly_reaches_the_task_mean() -> None:
    metrics = diffusion()[1]
    assert metrics["validation_error"] < 1.3 * error_of_task_means()
    assert 0 < metrics["validation_diversity"] < metrics["validation_error"]
    assert metrics["validation_error_of_mean"] < metrics["validation_error"]


def test_its_policies_are_nearer_the_prompts_policies_than_the_mean_policy() -> None:
    policies, held_out = data()
    _, prompts, _, autoencoder = first_stages()
    model = frozen(diffusion()[0].kept)
    generated = autoencoder.decode(model.draw(prompts.h, prompts.v, torch.Generator().manual_seed(0)))
    wanted = policies.params[policies.policy[held_out]]
    error, of_mean = ((made - wanted).square().mean() for made in (generated, policies.params.mean(0)))
    assert error < 0.3 * of_mean


def test_the_printed_eq_3_alone_does_not_find_the_prompts_policy() -> None:
    # Without the supervised term, which the paper does not mention, little ties a latent to its prompt.
    training, held_out, _ = encoded()
    settings = HypLatent(
        steps=250,
        generator=UNet1DGenerator(channels=(8, 16), context=64, patch=4),
        discriminator=MLPDiscriminator(hidden=(64, 64, 32)),
        noise_size=16,
        supervised_weight=0.0,
        generator_loss="saturating",
        label_smoothing=False,
    )
    with seeded(0):
        printed = trained(HypLatentJob(settings, training, held_out), settings.steps)
    assert printed["validation_error"] > 3 * generator()[1]["validation_error"]
