from __future__ import annotations

from pathlib import Path

import pytest

from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.schedule import Event
from hyprepro.experiments.sweep import PAGE, plan_sweep, run_sweep, sweep_of
from tests.conftest import TinyStores

pytestmark = pytest.mark.sim


def test_a_sweep_that_is_interrupted_goes_on_where_it_was(tiny_stores: TinyStores, tmp_path: Path) -> None:
    bindings = [
        f"MetaWorld.policies='{tiny_stores.policies}'",
        f"MetaWorld.trajectories='{tiny_stores.trajectories}'",
        "Recipe.methods=(@Expert(),)",
        "Recipe.protocols=(@StrictProtocol(),)",
        "Recipe.selection=None",
        "Recipe.seen=('door-open',)",
        "Recipe.below=()",
        "Recipe.prompts_per_task=1",
        "StrictProtocol.base_seed=[4_000_000, 5_000_000, 6_000_000]",
    ]
    asked = sweep_of("table1", "smoke", bindings=bindings, out=tmp_path / "out")
    cache, seen = ArtifactCache(tmp_path / "cache"), list[Event]()

    def interrupt(event: Event) -> None:
        if event.kind == "finished":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(asked, cache, 0, interrupt)
    assert not (tmp_path / "out").exists()
    assert [each.status for each in plan_sweep(asked, cache).stages].count("finished") == 1
    numbers = run_sweep(asked, cache, 0, seen.append)
    assert [event.kind for event in seen].count("started") == 2
    assert len(numbers["cells"]) == len({cell["digest"] for cell in numbers["cells"]}) == 3
    assert (tmp_path / "out" / PAGE).exists()
