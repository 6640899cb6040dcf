"""Make-An-Agent beside Gen-HypRL: what both share by default, and what the published settings replace."""

from __future__ import annotations

from typing import cast

from hyprepro.config.registry import resolve
from hyprepro.experiments.recipe import Recipe
from hyprepro.gen_hyprl.autoencoder import LinearAutoencoder
from hyprepro.methods.gen_hyprl import GenHypRL
from hyprepro.methods.make_an_agent import MakeAnAgent
from hyprepro.stores.files import StoreFiles
from tests.conftest import TinyStores

METHODS = "Recipe.methods=(@GenHypRL(), @MakeAnAgent())"
SHIPPED = "components/method/make_an_agent.gin"


def both(*files: str, scale: str = "desktop") -> tuple[GenHypRL, MakeAnAgent]:
    recipe = cast(Recipe, resolve("table1", scale, bindings=[METHODS], files_=[SHIPPED, *files]).recipe)
    ours, peer = recipe.methods
    return cast(GenHypRL, ours), cast(MakeAnAgent, peer)


def test_by_default_the_generator_alone_differs(tiny_stores: TinyStores) -> None:
    ours, peer = both()
    files: StoreFiles = tiny_stores.domain.data()
    theirs, mine = peer.training(files, seed=1), ours.training(files, seed=1)
    assert (theirs.autoencoder, theirs.embedding) == (mine.autoencoder, mine.embedding)
    assert theirs.generator.latents == mine.generator.latents
    assert theirs.hypformer is None
    assert peer.seeded
    assert peer.knows == ours.knows


def test_the_published_settings_leave_gen_hyprl_alone() -> None:
    ours, peer = both("components/method/make_an_agent_published.gin")
    assert ours == both()[0]
    assert isinstance(peer.autoencoder, LinearAutoencoder)
    assert (peer.autoencoder.latent_norm, peer.autoencoder.initialisation) == ("layer", "random")
    assert peer.autoencoder.latent_size == ours.autoencoder.latent_size, "sizes are the scale's"
    assert (peer.diffusion.latent_scaling, peer.diffusion.clip, peer.diffusion.evaluated) == ("minmax", 1.0, "last")


def test_paper_scale_has_the_published_sizes() -> None:
    _, peer = both("components/method/make_an_agent_published.gin", scale="paper")
    assert peer.diffusion.channels == (512, 1024, 2048)
    assert peer.diffusion.batch_size * peer.diffusion.steps == 1000 * 17_280  # 1,000 epochs of whole batches
    assert peer.autoencoder.latent_size == 1024
