from __future__ import annotations

import pytest

from hyprepro.config.grid import LARGEST, grid_of
from hyprepro.errors import UserError


def test_a_list_is_an_axis_and_every_other_binding_holds_everywhere() -> None:
    grid = grid_of(
        ["Recipe.seeds=2", "HypFormer.heads=[1, 2]", "Recipe.below=()", "HypLatent.supervised_weight=[0,1e3]"]
    )
    assert [(axis.target, axis.values) for axis in grid.axes] == [
        ("HypFormer.heads", ("1", "2")),
        ("HypLatent.supervised_weight", ("0", "1000.0")),
    ]
    assert grid.fixed == ["Recipe.seeds=2", "Recipe.below=()"]
    assert grid.cells == [("1", "0"), ("1", "1000.0"), ("2", "0"), ("2", "1000.0")]
    assert grid.bindings(("2", "0")) == [
        "Recipe.seeds=2",
        "HypFormer.heads=2",
        "Recipe.below=()",
        "HypLatent.supervised_weight=0",
    ]


@pytest.mark.parametrize(
    ("binding", "values"),
    [
        (
            "HypLatent.generator=[@MLPUNetGenerator(), @UNet1DGenerator()]",
            ("@MLPUNetGenerator()", "@UNet1DGenerator()"),
        ),
        ("AUTOENCODER=[@mine/PCAAutoencoder(), %OTHER]", ("@mine/PCAAutoencoder()", "%OTHER")),
        ("Recipe.seen=[('reach',), ('reach', 'door-open')]", ("('reach',)", "('reach', 'door-open')")),
        ("paper/HypFormer.attention=['batch', None]", ("'batch'", "None")),
    ],
)
def test_whatever_a_binding_takes_can_stand_in_the_list(binding: str, values: tuple[str, ...]) -> None:
    (axis,) = grid_of([binding]).axes
    assert axis.values == values
    assert axis.target == binding.partition("=")[0]


@pytest.mark.parametrize(
    ("bindings", "says", "where"),
    [
        ([], "nothing to sweep", "-b"),
        (["HypFormer.heads=2"], "nothing to sweep", "-b"),
        (["Recipe.seeds=2", "HypFormer.heads=[]"], "The grid is empty", "-b #2: HypFormer.heads=[]"),
        (["HypFormer.heads=[1, 2, 1]"], "has the value 1 twice", "-b #1"),
        (["HypFormer.heads=[1]", "HypFormer.heads=[2]"], "has two lists", "-b"),
        ([f"HypFormer.heads={list(range(LARGEST + 1))}"], f"= {LARGEST + 1} cells, and a sweep has at most", "-b"),
        (["HypFormer.heads=[1,2,3,4,5,6,7,8,9]", "Recipe.seeds=[1,2,3,4,5,6,7,8]"], "9 x 8 = 72 cells", "-b"),
        (["HypFormer.heads=[1, 2"], "never closed", "-b #1"),
        (["HypFormer.heads"], "not a binding", "-b #1"),
    ],
)
def test_grids_that_are_refused(bindings: list[str], says: str, where: str) -> None:
    with pytest.raises(UserError) as caught:
        grid_of(bindings)
    assert says in caught.value.what
    assert caught.value.where.startswith(where)
    assert caught.value.fix


def test_the_largest_grid_is_taken() -> None:
    assert len(grid_of([f"HypFormer.heads={list(range(1, LARGEST + 1))}"]).cells) == LARGEST
