"""Pictures in a grid, each with a few lines of words below it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]
"""`[height, width, 3]`, red, green and blue."""

_TEXT_SIZE = 12
_LINE = _TEXT_SIZE + 5
_GAP = 6
_PAPER, _INK, _BLANK = 255, 20, 225


class Panel(NamedTuple):
    """A picture and the words below it.

    Attributes:
        picture: The picture; None leaves its place empty.
        lines: A line each; what is too long for the picture's width is cut short.
    """

    picture: Picture | None
    lines: tuple[str, ...]


def compose(panels: Sequence[Panel], columns: int, width: int, height: int) -> Picture:
    """All panels row by row; height and width of the whole are even, as films want them.

    Args:
        panels: All with as many lines.
        columns: Panels in a row.
        width: Of a picture, in pixels.
        height: Of a picture, in pixels.
    """
    rows = -(-len(panels) // columns)
    words = _LINE * max(len(panel.lines) for panel in panels)
    across, down = width + _GAP, height + words + _GAP
    whole: Picture = np.full((rows * down + _GAP, columns * across + _GAP, 3), _PAPER, dtype=np.uint8)
    for number, panel in enumerate(panels):
        top, left = _GAP + number // columns * down, _GAP + number % columns * across
        whole[top : top + height, left : left + width] = _BLANK if panel.picture is None else panel.picture
        for line, text in enumerate(panel.lines):
            start = top + height + line * _LINE
            whole[start : start + _LINE, left : left + width] = _written(text, width)
    return np.pad(whole, ((0, whole.shape[0] % 2), (0, whole.shape[1] % 2), (0, 0)), constant_values=_PAPER)


@lru_cache(maxsize=1024)
def _written(text: str, width: int) -> Picture:
    strip = Image.new("RGB", (width, _LINE), (_PAPER,) * 3)
    ImageDraw.Draw(strip).text((1, 1), fitted(text, width - 2), fill=(_INK,) * 3, font=_font())
    return np.asarray(strip)


def fitted(text: str, width: int) -> str:
    """A text, cut short with three dots where it is wider than so many pixels."""
    if _font().getlength(text) <= width:
        return text
    while text and _font().getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text.rstrip()}..."


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_TEXT_SIZE)
