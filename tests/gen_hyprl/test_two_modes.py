"""One prompt fits two training runs: what averages them lies between, what chooses becomes one of them."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from hyprepro.engine.training import Job, frozen, seeded
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.autoencoder import LinearAutoencoder, PCAAutoencoder
from hyprepro.gen_hyprl.autoencoder_net import AutoencoderJob
from hyprepro.gen_hyprl.conditions import LatentSamples
from hyprepro.gen_hyprl.discriminator import MLPDiscriminator
from hyprepro.gen_hyprl.generators import UNet1DGenerator
from hyprepro.gen_hyprl.hypformer import HypFormer
from hyprepro.gen_hyprl.hypformer_net import Aggregator, HypFormerJob
from hyprepro.gen_hyprl.hyplatent import HypLatent
from hyprepro.gen_hyprl.hyplatent_net import HypLatentJob, LatentGenerator
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import PolicyLayout
from hyprepro.stores.training_data import TaskStates

SIZE, PROMPTS, LATENTS = 4, 64, 8
SETTINGS = HypLatent(
    generator=UNet1DGenerator(channels=(8, 16), context=32, patch=2, noise_gain=1.0),
    discriminator=MLPDiscriminator(hidden=(16, 16, 8)),
    adversarial_weight=0.0,
    lambda_reg=0.0,
    noise_size=4,
    steps=200,
    batch_size=32,
)


def samples() -> LatentSamples:
    """Equal prompts, half of which were recorded by a policy of one run and half by one of another."""
    modes = torch.randn(2, 2, LATENTS, generator=torch.Generator().manual_seed(0))
    same = torch.zeros(PROMPTS, SIZE)
    return LatentSamples(same, same, torch.arange(PROMPTS) % 2, modes, torch.zeros(PROMPTS, dtype=torch.long))


def train(job: Job, steps: int) -> None:
    for module in job.modules.values():
        module.train()
    for step in range(steps):
        job.step(step)
    for module in job.modules.values():
        module.eval()


@cache
def generator(best_of: int) -> LatentGenerator:
    settings = SETTINGS.model_copy(update={"best_of": best_of})
    with seeded(0):
        job = HypLatentJob(settings, samples(), samples())
        train(job, settings.steps)
    return frozen(job.kept)


def shares(latents: torch.Tensor) -> tuple[float, float]:
    """Of latents `[N, 2, D]`: the mean distance to the nearer mode (1 halfway), and how many are at the first one."""
    modes = samples().latents
    apart = (modes[0] - modes[1]).norm()
    distance = torch.stack([(latents - mode).flatten(1).norm(dim=1) for mode in modes], dim=1)
    return float(2 * distance.min(1).values.mean() / apart), float((distance.argmin(1) == 0).float().mean())


def drawn(model: LatentGenerator, count: int = 200) -> torch.Tensor:
    blank = torch.zeros(count, SIZE)
    return model.draw(blank, blank, torch.Generator().manual_seed(1))


def test_a_squared_error_averages_two_runs_and_the_best_of_several_draws_is_one_of_them() -> None:
    (middle, _), (near, first) = shares(drawn(generator(1))), shares(drawn(generator(8)))
    assert middle > 0.8
    assert near < 0.3
    assert 0.1 < first < 0.9, "and draws reach both"


def test_hypformer_mixes_two_runs_or_chooses_one() -> None:
    found = {}
    for output in ("mixture", "choice"):
        settings = HypFormer(
            steps=100, width=16, heads=4, feedforward=16, candidates=8, bank=16, output=output, dropout=0.0
        )
        with seeded(0):
            job = HypFormerJob(settings, generator(8), samples(), samples(), seed=0)
            train(job, settings.steps)
        model: Aggregator = frozen(job.kept)
        blank = torch.zeros(50, SIZE)
        candidates = drawn(generator(8), 400).reshape(50, 8, 2, LATENTS)
        chosen = model.aggregate(candidates, blank, blank)
        found[output] = shares(chosen)[0]
        among = (chosen[:, None] - candidates).flatten(2).norm(dim=2).min(1).values
        assert (among.max() < 1e-5) == (output == "choice")
    assert found["mixture"] > 0.7
    assert found["choice"] < 0.3


def test_a_choice_learns_to_tell_the_candidate_nearest_to_the_truth() -> None:
    """Where the prompt tells the run, the choice follows it."""
    known = samples()
    h = 2 * known.policy[:, None].float().repeat(1, SIZE) - 1
    told = LatentSamples(h, h, known.policy, known.latents, known.task)
    settings = HypFormer(
        steps=200, width=16, heads=4, feedforward=16, candidates=8, bank=16, output="choice", dropout=0.0
    )
    with seeded(0):
        job = HypFormerJob(settings, generator(8), told, told, seed=0)
        train(job, settings.steps)
    model = frozen(job.kept)
    candidates = drawn(generator(8), 8 * PROMPTS).reshape(PROMPTS, 8, 2, LATENTS)
    chosen = model.aggregate(candidates, h, h)

    def is_right(latents: torch.Tensor) -> torch.Tensor:
        right, wrong = (known.latents[run].unflatten(0, (PROMPTS, -1)) for run in (known.policy, 1 - known.policy))
        return (latents - right).flatten(2).norm(dim=2) < (latents - wrong).flatten(2).norm(dim=2)

    possible = is_right(candidates).any(1)
    assert possible.float().mean() > 0.5
    assert is_right(chosen[:, None])[possible].float().mean() > 0.8


def test_the_best_of_several_draws_is_no_other_model() -> None:
    with seeded(0):
        one, several = (HypLatentJob(SETTINGS.model_copy(update={"best_of": n}), samples(), samples()) for n in (1, 8))
    names = [set(job.kept.state_dict()) for job in (one, several)]
    assert names[0] == names[1]


LAYOUT = PolicyLayout.mlp(39, 8, 4, ("relu", "relu"))


@cache
def action_error(scale: float, weight: float) -> float:
    """Of six runs' policies after too few latents for their weights; 1 is what their mean reaches."""
    draws = torch.Generator().manual_seed(0)
    starts = 0.4 * torch.randn(6, 1, LAYOUT.size, generator=draws)
    params = (starts + 0.05 * torch.randn(6, 4, LAYOUT.size, generator=draws)).flatten(0, 1)
    states = torch.randn(100, 39, generator=draws)
    settings = LinearAutoencoder(
        latent_size=2, steps=150, learning_rate=1e-2, scale=scale, behaviour_weight=weight, input_noise=0.1,
        validation_share=0.0,
    )  # fmt: skip
    with seeded(0):
        own = TaskStates((states,), torch.zeros(len(params), dtype=torch.long))
        job = AutoencoderJob(settings, LAYOUT, params, states, states=own)
        job.start()
        train(job, settings.steps)
    model = frozen(job.kept)
    decoded = model.decode(model.encode(params))
    acted, wanted = (StackedPolicies(LAYOUT, each).means(states) for each in (decoded, params))
    return float((acted - wanted).square().mean() / (wanted - wanted.mean(0)).square().mean())


@pytest.mark.parametrize("scale", [1e3, 0.0])
def test_an_autoencoder_that_is_trained_on_actions_keeps_behaviour_better(scale: float) -> None:
    assert action_error(scale, 1e5) < 0.6 < 0.8 < action_error(1e3, 0.0)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (PCAAutoencoder(behaviour_weight=1.0), "training steps alone"),
        (LinearAutoencoder(scale=0.0), "trained by nothing"),
    ],
)
def test_an_autoencoder_that_nothing_trains_is_refused(settings: LinearAutoencoder, told: str) -> None:
    with pytest.raises(UserError, match=told):
        settings.check()
