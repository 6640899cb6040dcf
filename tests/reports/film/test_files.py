"""The files of a film: every frame is in them, and nothing is left of one that failed."""

from __future__ import annotations

from importlib import util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hyprepro.errors import UserError
from hyprepro.reports.film import files
from hyprepro.reports.film.files import Reel, check_files, write_still

SIZE = (48, 32)


def frames(count: int, equal: int = 0) -> list[np.ndarray]:
    """A square that moves, and stands still for the last `equal` frames."""
    found = []
    for number in range(count):
        frame = np.full((SIZE[1], SIZE[0], 3), 240, dtype=np.uint8)
        left = min(number, count - equal) % 40
        frame[8:16, left : left + 8] = (200, 30, 30)
        found.append(frame)
    return found


def write(path: Path, shown: list[np.ndarray], seconds: float = 0.05) -> None:
    with Reel([path], SIZE, seconds, len(shown)) as reel:
        for frame in shown:
            reel.add(frame)


@pytest.mark.parametrize(("count", "equal"), [(1, 0), (2, 0), (7, 3), (61, 20)])
def test_a_gif_shows_every_frame_for_its_time(tmp_path: Path, count: int, equal: int) -> None:
    write(tmp_path / "a.gif", frames(count, equal))
    with Image.open(tmp_path / "a.gif") as film:
        shown = 0
        for number in range(film.n_frames):
            film.seek(number)
            shown += film.info["duration"]
        assert film.n_frames <= count
        assert shown == 50 * count
        assert film.info["loop"] == 0 or count == 1
        film.seek(0)
        assert np.abs(np.asarray(film.convert("RGB")).astype(int) - frames(count)[0]).max() < 20


@pytest.mark.parametrize("count", [1, 61])
def test_an_mp4_has_every_frame(tmp_path: Path, count: int) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    write(tmp_path / "a.mp4", frames(count))
    pictures = ffmpeg.read_frames(str(tmp_path / "a.mp4"))
    told = next(pictures)
    shown = [np.frombuffer(each, np.uint8).reshape(SIZE[1], SIZE[0], 3) for each in pictures]
    assert (told["size"], round(told["fps"]), len(shown)) == (SIZE, 20, count)
    assert np.abs(shown[-1].astype(int) - frames(count)[-1]).mean() < 20
    assert list(tmp_path.iterdir()) == [tmp_path / "a.mp4"]


def test_several_files_are_written_at_once(tmp_path: Path) -> None:
    paths = [tmp_path / "new" / "a.gif", tmp_path / "b.gif"]
    with Reel(paths, SIZE, 0.05, 3) as reel:
        for frame in frames(3):
            reel.add(frame)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("name", ["a.gif", "a.mp4"])
def test_nothing_is_left_of_a_film_that_failed(tmp_path: Path, name: str) -> None:
    if name == "a.mp4":
        pytest.importorskip("imageio_ffmpeg")
    with pytest.raises(RuntimeError), Reel([tmp_path / name], SIZE, 0.05, 3) as reel:  # noqa: PT012 - the film
        reel.add(frames(1)[0])
        raise RuntimeError("the simulator broke")
    assert not list(tmp_path.iterdir())


def test_a_film_that_lost_frames_is_refused(tmp_path: Path) -> None:
    reel = Reel([tmp_path / "a.gif"], SIZE, 0.05, 3)
    for frame in frames(2):
        reel.add(frame)
    with pytest.raises(UserError, match="has 2 frames, and 3"):
        reel.__exit__(None, None, None)
    assert not list(tmp_path.iterdir())


def test_a_still_keeps_its_colours(tmp_path: Path) -> None:
    write_still(tmp_path / "a.png", frames(1)[0])
    with Image.open(tmp_path / "a.png") as still:
        assert np.array_equal(np.asarray(still.convert("RGB")), frames(1)[0])


@pytest.mark.parametrize(("name", "words"), [("a.avi", "ends in"), ("a", "ends in"), ("taken.gif", "exists already")])
def test_names_that_cannot_be_written_are_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "taken.gif").write_text("mine")
    with pytest.raises(UserError, match=words):
        check_files([tmp_path / name])
    with pytest.raises(UserError, match="same name"):
        check_files([tmp_path / "b.png", tmp_path / "b.png"])
    assert (tmp_path / "taken.gif").read_text() == "mine"


def test_without_ffmpeg_an_mp4_is_refused_and_a_gif_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = util.find_spec
    monkeypatch.setattr(files, "find_spec", lambda name: None if name == "imageio_ffmpeg" else real(name))
    check_files([tmp_path / "a.gif", tmp_path / "a.png"])
    with pytest.raises(UserError, match="no ffmpeg") as refusal:
        check_files([tmp_path / "a.mp4"])
    assert "hyprepro[film]" in refusal.value.fix
    assert refusal.value.closest.endswith("a.gif")


def test_a_gif_that_no_memory_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not fit"):
        Reel([tmp_path / "a.gif"], (4000, 4000), 0.05, 500)


def test_a_folder_that_takes_no_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError):
        write_still(tmp_path / "file" / "a.png", frames(1)[0])
