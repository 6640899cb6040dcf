"""Settings that could only fail in a stage are refused when the recipe is resolved, with the places that set them."""

from __future__ import annotations

import pytest

from hyprepro.config.registry import resolve
from hyprepro.errors import UserError

DECISION_TRANSFORMER = "Recipe.methods=(@MultiTaskDecisionTransformer(),)"
PROMPT_DT = "Recipe.methods=(@PromptDT(),)"
MAKE_AN_AGENT = "Recipe.methods=(@MakeAnAgent(),)"


def refused(*bindings: str, recipe: str = "table1") -> UserError:
    with pytest.raises(UserError) as caught:
        resolve(recipe, "smoke", bindings=bindings)
    return caught.value


@pytest.mark.parametrize(
    ("recipe", "bindings", "says"),
    [
        ("table1", ["HypFormer.heads=7"], "not divisible by 7 heads"),
        ("table4", ["HypFormer.heads=7"], "not divisible by 7 heads"),
        ("table4", [PROMPT_DT, "PromptTransformer.heads=3"], "not divisible by 3 heads"),
        ("table4", [PROMPT_DT, "PromptTransformer.prompt_steps=21"], "longer than the context"),
        ("table1", [DECISION_TRANSFORMER, "PromptedTransformer.heads=3"], "not divisible by 3 heads"),
        ("table1", ["UNet1DGenerator.groups=3"], "multiples of groups"),
        ("table1", ["UNet1DGenerator.kernel=4"], "odd"),
        ("table1", ["LinearAutoencoder.latent_size=66"], "does not divide D = 66"),
        ("table4", ["LinearAutoencoder.latent_size=66"], "does not divide D = 66"),
        ("table1", [MAKE_AN_AGENT, "LatentDiffusion.groups=7"], "multiples of groups"),
        ("table1", [MAKE_AN_AGENT, "LatentDiffusion.inference_steps=101"], "noise levels"),
    ],
)
def test_values_that_do_not_fit_together(recipe: str, bindings: list[str], says: str) -> None:
    error = refused(*bindings, recipe=recipe)
    assert says in error.what
    assert f"-b #{len(bindings)}: {bindings[-1]}" in error.where, "it names the binding, wherever in the tree it acts"
    assert error.fix


def test_the_advised_number_of_heads_is_accepted() -> None:
    advised = refused("HypFormer.heads=7").fix.partition("-b ")[2].partition(",")[0]
    resolve("table1", "smoke", bindings=[advised])


@pytest.mark.parametrize(
    "binding",
    [
        "LinearAutoencoder.latent_size=1000000",
        "LinearAutoencoder.latent_size=1",
        "ContrastiveEmbedding.embedding_size=1000000",
        "ContrastiveEmbedding.prompt_hidden=(256, 0)",
        "HypFormer.width=1048576",
        "HypFormer.feedforward=1000000000",
        "HypLatent.noise_size=100000",
        "UNet1DGenerator.channels=(16, -32)",
        "UNet1DGenerator.channels=(16, 1000000)",
        "MLPDiscriminator.hidden=(256, 256, 0)",
        "HypLatent.betas=(0.5, 1.0)",
        "HypLatent.betas=(-0.1, 0.9)",
        "ContrastiveEmbedding.betas=(2.0, 3.0)",
        "HypLatent.learning_rate=1e999",
        "PaperProtocol.env_seeds=(720, -1)",
        "HypFormer.lambda_sim=1e999",
    ],
)
def test_sizes_and_rates_that_nothing_can_be_built_or_trained_with(binding: str) -> None:
    error = refused(binding)
    assert error.where == f"-b #1: {binding}"
    assert "takes" in error.what


def test_a_generator_without_positions_takes_any_latent() -> None:
    resolve(
        "table1",
        "smoke",
        bindings=["LinearAutoencoder.latent_size=66", "HypLatent.generator=@MLPUNetGenerator()"],
    )
