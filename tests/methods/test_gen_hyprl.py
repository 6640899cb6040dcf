"""L at deployment and in training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from hyprepro.engine.cache import ArtifactCache
from hyprepro.gen_hyprl import hypformer_net as hypformer
from hyprepro.methods.gen_hyprl import GenHypRL
from tests.conftest import TinyStores
from tests.gen_hyprl.test_stages import HYPFORMER, WHOLE, make
from tests.methods.shared import params_of, prompted, prompts_of


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
    assert (stage.hypformer.candidates, stage.hypformer.bank) == (candidates, bank)


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
