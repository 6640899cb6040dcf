from __future__ import annotations

import base64
from pathlib import Path

import pytest

from hyprepro.reports.web import media as module
from hyprepro.reports.web.media import media

PNG = b"\x89PNG\r\n\x1a\nrest"
MP4 = b"\x00\x00\x00\x18ftypisom"
SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><use xlink:href="#a" clip-path="url(#b)"/></svg>'


def write(folder: Path, **files: bytes) -> None:
    for name, content in files.items():
        stem, _, suffix = name.rpartition("_")
        (folder / f"{stem}.{suffix}").write_bytes(content)


def test_of_one_name_a_drawing_goes_before_a_bitmap(tmp_path: Path) -> None:
    write(tmp_path, curve_png=PNG, curve_svg=SVG, other_gif=b"GIF89a", table_md=b"# T", result_json=b"{}")
    found = media(tmp_path)
    assert [each.name for each in found.shown] == ["curve.svg", "other.gif"]
    assert base64.b64decode(found.shown[0].uri.removeprefix("data:image/svg+xml;base64,")) == SVG
    assert [each.is_drawing for each in found.shown] == [True, False]
    assert found.left_out == ()


def test_a_film_comes_last_and_has_its_still_as_poster(tmp_path: Path) -> None:
    write(tmp_path, a_film_mp4=MP4, a_film_gif=b"GIF89a", a_film_png=PNG, b_png=PNG)
    still, film = media(tmp_path).shown
    assert (still.name, film.name, film.is_film, film.title) == ("b.png", "a_film.mp4", True, "A film")
    assert film.poster.startswith("data:image/png")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.png", b"<html>", "it is no png file"),
        ("x.mp4", PNG, "it is no mp4 file"),
        ("x.svg", b"<svg><script>alert(1)</script></svg>", "it holds scripts"),
        ("x.svg", b'<svg onload="alert(1)"></svg>', "it holds scripts"),
        ("x.svg", b'<svg><image href="http://example.com/p.png"/></svg>', "it holds scripts"),
        ("x.svg", b'<svg><image href="&#104;ttp://example.com/p.png"/></svg>', "it holds scripts"),
        ("x.svg", b"<svg><style>@import 'http://example.com'</style></svg>", "it holds scripts"),
        ("x.svg", b'<svg style="fill: url(http://example.com/p)"></svg>', "it holds scripts"),
        ("x.svg", b'<!DOCTYPE svg [<!ENTITY a "b">]><svg></svg>', "it holds scripts"),
        ("x.svg", b"<svg><foreignObject></foreignObject></svg>", "it holds scripts"),
    ],
)
def test_what_a_stranger_may_have_put_there_stays_out(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    found = media(tmp_path)
    assert found.shown == ()
    assert found.left_out[0].startswith(f"{name} ({reason}")


def test_a_file_too_large_for_a_page_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 5)
    write(tmp_path, big_png=PNG)
    assert media(tmp_path).left_out[0].startswith("big.png (larger than")
