"""One order of hidden units a run: the same policies, siblings as near as they were, whatever order they had."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hyprepro.engine.cache import ArtifactCache
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.alignment import Orders, Runs, reordered
from hyprepro.gen_hyprl.autoencoder import LinearAutoencoder, PCAAutoencoder, TrainAutoencoder
from hyprepro.gen_hyprl.choices import Alignment, MatchedBy
from hyprepro.gen_hyprl.parameter_space import ParameterSpace
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import ACTIVATIONS, LayerSpec, PolicyLayout
from tests.conftest import TinyStores

OBSERVED, SIBLINGS = 5, 3
seeds = st.integers(0, 2**32)
layouts = st.lists(st.tuples(st.integers(2, 9), st.sampled_from(ACTIVATIONS)), min_size=2, max_size=3).map(
    lambda hidden: PolicyLayout.mlp(OBSERVED, [width for width, _ in hidden], 2, tuple(kind for _, kind in hidden))
)
each_way = pytest.mark.parametrize("by", ["weights", "activations"])


class Zoo:
    """Some runs of a task from random weights of their own, `SIBLINGS` checkpoints each, and what they observe."""

    def __init__(self, layout: PolicyLayout, seed: int, runs: int = 3) -> None:
        self.layout = layout
        self.draws = torch.Generator().manual_seed(seed)
        starts = torch.randn(runs, 1, layout.size, generator=self.draws)
        drift = 0.05 * torch.randn(runs, SIBLINGS, layout.size, generator=self.draws)
        self.params = (starts + drift).flatten(0, 1)
        self.observations = torch.randn(60, OBSERVED, generator=self.draws) * torch.tensor([3.0, 1.0, 0.3, 0.1, 0.0])
        self.of = torch.arange(runs).repeat_interleave(SIBLINGS)

    def runs(self, params: torch.Tensor) -> Runs:
        """The last checkpoint stands for its run."""
        return Runs(params[SIBLINGS - 1 :: SIBLINGS], self.of)

    def orders(self) -> Orders:
        """One random order a run."""
        each = [torch.rand(len(self.of) // SIBLINGS, width, generator=self.draws) for width in self.layout.widths]
        return tuple(one.argsort(1)[self.of] for one in each)

    def space(self, by: MatchedBy) -> ParameterSpace:
        space = ParameterSpace(self.layout, Alignment(by, "run"))
        space.fit(self.params, "common", self.observations, runs=self.runs(self.params))
        return space

    def actions(self, params: torch.Tensor) -> torch.Tensor:
        return StackedPolicies(self.layout, params).means(self.observations)


@each_way
@settings(max_examples=25, deadline=None)
@given(layout=layouts, seed=seeds)
def test_policies_act_as_before_and_siblings_stay_as_near(by: MatchedBy, layout: PolicyLayout, seed: int) -> None:
    zoo = Zoo(layout, seed)
    aligned = zoo.space(by).aligned(zoo.params, zoo.runs(zoo.params))
    assert torch.allclose(zoo.actions(aligned), zoo.actions(zoo.params), atol=1e-4)
    same = zoo.of[:, None] == zoo.of
    before, after = (torch.cdist(params.double(), params.double())[same] for params in (zoo.params, aligned))
    assert torch.allclose(before, after, atol=1e-6)


@each_way
@settings(max_examples=25, deadline=None)
@given(layout=layouts, seed=seeds)
def test_runs_whose_units_were_exchanged_end_as_the_same_policies(
    by: MatchedBy, layout: PolicyLayout, seed: int
) -> None:
    zoo = Zoo(layout, seed)
    space, moved = zoo.space(by), reordered(layout, zoo.params, *zoo.orders())
    one, other = (space.aligned(params, zoo.runs(params)) for params in (zoo.params, moved))
    assert torch.equal(one, other)


@each_way
def test_each_policy_by_itself_may_be_put_in_order_too_and_siblings_then_scatter(by: MatchedBy) -> None:
    zoo = Zoo(PolicyLayout.mlp(OBSERVED, 32, 2, ("relu", "relu")), 1)
    space = zoo.space(by)
    apart = {}
    for name, runs in (("run", zoo.runs(zoo.params)), ("policy", None)):
        aligned = space.aligned(zoo.params, runs)
        same = (zoo.of[:, None] == zoo.of) & ~torch.eye(len(zoo.of), dtype=torch.bool)
        apart[name] = float(torch.cdist(aligned, aligned)[same].mean())
    before = float(torch.cdist(zoo.params, zoo.params)[same].mean())
    assert apart["run"] == pytest.approx(before, rel=1e-5)
    assert apart["policy"] > 1.2 * before


@each_way
def test_matching_brings_runs_nearer_to_the_first_ones(by: MatchedBy) -> None:
    zoo = Zoo(PolicyLayout.mlp(OBSERVED, 32, 2, ("relu", "relu")), 2, runs=6)
    space = zoo.space(by)
    if by == "activations":
        zoo.observations = space.states * space.deviation + space.mean
    aligned = space.aligned(zoo.params, zoo.runs(zoo.params))

    def distance(params: torch.Tensor) -> torch.Tensor:
        parts = zoo.layout.split(params)
        first = torch.relu(
            torch.einsum("so,nho->nsh", zoo.observations, parts["linear1.weight"]) + parts["linear1.bias"][:, None]
        )
        seen = first if by == "activations" else space.standardised(params)
        return (seen[SIBLINGS:] - seen[SIBLINGS - 1]).flatten(1).norm(dim=1)

    assert (distance(aligned) < distance(zoo.params)).all()


def test_units_that_no_state_activates_are_told_apart_by_their_weights() -> None:
    layout = PolicyLayout.mlp(OBSERVED, 8, 2, ("relu", "relu"))
    zoo = Zoo(layout, 3)
    parts = layout.split(zoo.params)
    parts["linear1.bias"][:, :3] = -100.0  # views of the parameters
    space = zoo.space("activations")
    moved = reordered(layout, zoo.params, *zoo.orders())
    one, other = (space.aligned(params, zoo.runs(params)) for params in (zoo.params, moved))
    assert torch.equal(one, other)


@pytest.mark.parametrize("kind", [LinearAutoencoder, PCAAutoencoder])
@each_way
def test_an_encoder_of_runs_does_not_see_their_order_and_keeps_it_in_its_file(kind: type, by: MatchedBy) -> None:
    layout = PolicyLayout.mlp(OBSERVED, 16, 2, ("relu", "relu"))
    zoo = Zoo(layout, 4)
    chosen = kind(latent_size=8, alignment="hidden_units", alignment_by=by, alignment_of="run")
    torch.manual_seed(0)
    model = chosen.build(layout)
    chosen.start(model, zoo.params, zoo.observations, zoo.runs(zoo.params))
    moved = reordered(layout, zoo.params, *zoo.orders())
    latents = model.encode(zoo.params, zoo.runs(zoo.params))
    assert torch.allclose(model.encode(moved, zoo.runs(moved)), latents, atol=1e-4)
    again = chosen.build(layout)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.encode(zoo.params, zoo.runs(zoo.params)), latents)


def test_layouts_that_are_not_known_are_refused() -> None:
    known = PolicyLayout.mlp(OBSERVED, 4, 2, ("relu", "relu"))
    names = {"linear2.weight": "residual.weight", "linear2.bias": "residual.bias"}
    layers = tuple(LayerSpec(names.get(spec.name, spec.name), spec.shape, spec.offset) for spec in known.layers)
    other = PolicyLayout(layers, known.activations)
    with pytest.raises(UserError, match="linear1, residual, mean, log_std") as caught:
        LinearAutoencoder(latent_size=4, alignment="hidden_units").build(other)
    assert "alignment='none'" in caught.value.fix
    assert LinearAutoencoder(latent_size=4).build(other) is not None


@each_way
def test_policies_of_another_layout_are_refused(by: MatchedBy) -> None:
    zoo = Zoo(PolicyLayout.mlp(OBSERVED, 4, 2, ("relu", "relu")), 5)
    wider = Zoo(PolicyLayout.mlp(OBSERVED, 6, 2, ("relu", "relu")), 5)
    with pytest.raises(UserError, match="5 -> 4 -> 4 -> 2") as caught:
        zoo.space(by).aligned(wider.params, wider.runs(wider.params))
    assert f"{wider.layout.size} parameters" in caught.value.what


@each_way
def test_a_trained_encoder_of_runs_takes_stored_policies_in_any_portions(
    by: MatchedBy, tiny_stores: TinyStores, tmp_path: Path
) -> None:
    data = tiny_stores.domain.data()
    chosen = LinearAutoencoder(latent_size=8, steps=2, alignment="hidden_units", alignment_by=by, alignment_of="run")
    stage = TrainAutoencoder.of(chosen, data.for_training)
    model = stage.load(ArtifactCache(tmp_path).make(stage))
    with data.open_policies() as store, torch.no_grad():
        rows = store.rows("reach")
        together = model.encode_stored(store, "reach", rows)
        alone = torch.cat([model.encode_stored(store, "reach", rows[[n]]) for n in range(len(rows))])
    assert torch.allclose(together, alone, atol=1e-4)
