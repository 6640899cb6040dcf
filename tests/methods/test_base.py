from __future__ import annotations

import pytest

from hyprepro.config.catalogue import load_components
from hyprepro.methods.base import Method

METHODS = [cls for cls in load_components().values() if issubclass(cls, Method)]


def test_the_ceilings_and_the_competitors_are_all_there() -> None:
    labels = {cls.label for cls in METHODS}
    assert labels >= {
        "expert", "autoencoder", "retrieval", "agreement-retrieval", "prompt-cloning", "mean-policy", "mse-regressor",
        "gen-hyprl", "gen-hyprl-wo-hypformer",
    }  # fmt: skip
    assert len(labels) == len(METHODS)


@pytest.mark.parametrize("cls", METHODS, ids=lambda cls: cls.__name__)
def test_every_method_says_what_it_is_and_what_it_knows(cls: type[Method]) -> None:
    assert cls.slot == "method"
    assert cls.label
    assert cls.knows
    assert cls().described()["component"] == cls.__name__


def test_a_method_must_say_how_it_is_deployed() -> None:
    class Incomplete(Method):
        label = "incomplete"

    with pytest.raises(TypeError, match="abstract"):
        Incomplete()
