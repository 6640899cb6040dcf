"""Pictures of scenes: upright, those of the simulator itself, and refused where nothing draws."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from hyprepro.domains import camera
from hyprepro.domains.camera import Painter, check_camera, found_renderer, require_renderer
from hyprepro.domains.rendering import Tape
from hyprepro.errors import UserError

ROOM = """
<mujoco>
  <worldbody>
    <light pos="0 0 3" castshadow="false"/>
    <camera name="front" pos="0 -2 0" xyaxes="1 0 0 0 0 1"/>
    <camera name="rolled" pos="0 -2 0" xyaxes="-1 0 0 0 0 -1"/>
    <body name="ball" pos="0 0 0.4"><freejoint/><geom size="0.2" rgba="1 0 0 1"/></body>
    <geom name="right" type="box" pos="0.7 0 -0.3" size="0.1 0.1 0.1" rgba="0 1 0 1"/>
  </worldbody>
</mujoco>
"""


@pytest.fixture(scope="module")
def tape() -> Tape:
    """A ball that falls for a step of a tenth of a second."""
    import mujoco

    model = mujoco.MjModel.from_xml_string(ROOM)
    data = mujoco.MjData(model)
    tape = Tape(model, {"geom_rgba": model.geom_rgba.copy()})
    tape.add(data)
    mujoco.mj_step(model, data, nstep=50)
    tape.add(data)
    return tape


def centre(picture: np.ndarray, channel: int) -> np.ndarray:
    """Row and column of what has one colour."""
    others = [each for each in range(3) if each != channel]
    return np.argwhere(picture[:, :, channel].astype(int) > 2 * picture[:, :, others].max(axis=2) + 40).mean(axis=0)


@pytest.mark.usefixtures("renderer")
def test_pictures_are_upright_whatever_the_camera(tape: Tape) -> None:
    found = {}
    for name in ("front", "rolled"):
        painter = Painter(tape.model, 80, 60, name)
        found[name] = painter.picture(tape, 0)
        painter.close()
    for picture in found.values():
        assert picture.shape == (60, 80, 3)
        ball, box = centre(picture, 0), centre(picture, 1)
        assert ball[0] < 30 < box[0]
        assert ball[1] < box[1]


@pytest.mark.usefixtures("renderer")
def test_a_picture_shows_its_step_as_the_simulator_itself_would(tape: Tape) -> None:
    painter = Painter(tape.model, 80, 60)
    before, after, again = (painter.picture(tape, step).copy() for step in (0, 1, 0))
    assert np.array_equal(before, again)
    assert centre(after, 0)[0] > centre(before, 0)[0] + 1
    tape.model.geom_rgba[:] = 0.0  # a later episode's
    assert np.array_equal(painter.picture(tape, 1), after)
    painter.close()


def test_a_camera_has_a_name_of_the_physics(tape: Tape) -> None:
    assert [check_camera(tape.model, name) for name in ("", "front", "rolled")] == [0, 0, 1]
    with pytest.raises(UserError) as refusal:
        check_camera(tape.model, "frnt")
    assert (refusal.value.closest, "front, rolled" in refusal.value.fix) == ("front", True)


@pytest.fixture
def asked_anew() -> Iterator[None]:
    found_renderer.cache_clear()
    yield
    found_renderer.cache_clear()


@pytest.mark.usefixtures("asked_anew")
@pytest.mark.parametrize("given", ["glx", ""])
def test_where_nothing_draws_it_is_said(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv(camera.VARIABLE, given)
    monkeypatch.setattr(camera, "_PROBE", "import nothing_that_draws  # {0}")
    with pytest.raises(UserError, match="Nothing can draw") as refusal:
        require_renderer()
    assert ("MUJOCO_GL=glx" if given else "egl, osmesa") in refusal.value.where
    assert "libosmesa6" in refusal.value.fix
