"""The files that a film is written to: MP4 by ffmpeg, GIF and PNG by Pillow; each frame counted in what was written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image, ImageSequence

from hyprepro.engine.stage import explaining, make_folder
from hyprepro.errors import UserError, refuse_unknown

if TYPE_CHECKING:
    from hyprepro.reports.film.panels import Picture

STILL = ".png"
FILMS = (".mp4", ".gif")
LARGEST_GIF = 2**30
"""Bytes of a GIF's frames, uncompressed: Pillow holds them all."""

_COLOURS = 255


def check_files(paths: Sequence[Path]) -> None:
    """Refuse names that no film or still can be written under, before any work.

    Raises:
        UserError: An unknown ending, a name that is taken or stands twice, or an MP4 without ffmpeg.
    """
    known = (*FILMS, STILL)
    for number, path in enumerate(paths):
        ending = path.suffix.lower()
        what = f"A film's file ends in {', '.join(FILMS)} or, a still, {STILL}; this one in {ending or 'nothing'}."
        refuse_unknown(ending, known, what, f"--out {path}", "Name the file so.")
        if path.exists() or path in paths[:number]:
            what = "The file exists already." if path.exists() else "Two files have the same name."
            raise UserError(what, where=f"--out {path}", fix="Name another file, or move this one away.")
        if ending == ".mp4" and not has_ffmpeg():
            raise UserError(
                "There is no ffmpeg to write an MP4 with.",
                where=f"--out {path}",
                closest=str(path.with_suffix(".gif")),
                fix="pip install 'hyprepro[film]' -c constraints.txt, or name a .gif file",
            )


def has_ffmpeg() -> bool:
    """Whether imageio-ffmpeg is installed and has, or finds, a program that it can run."""
    if find_spec("imageio_ffmpeg") is None:
        return False
    import imageio_ffmpeg

    try:
        imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        return False
    return True


class Writer(Protocol):
    """Writes frames of one size to a file."""

    def add(self, frame: Picture) -> None:
        """The next frame."""

    def finish(self) -> int:
        """Write what is left; how many frames the file holds by its own account."""

    def abandon(self) -> None:
        """No more frames come; the file is worth nothing."""


class Mp4:
    """Frames to H.264 in an MP4, as they come.

    Args:
        path: Where.
        size: Width and height in pixels, even.
        seconds: How long a frame is shown.
    """

    def __init__(self, path: Path, size: tuple[int, int], seconds: float) -> None:
        import imageio_ffmpeg

        self._path = path
        self._pipe = imageio_ffmpeg.write_frames(
            str(path), size, fps=1 / seconds, quality=7, macro_block_size=2, ffmpeg_log_level="error"
        )
        self._pipe.send(None)

    def add(self, frame: Picture) -> None:
        """The next frame."""
        self._pipe.send(frame.tobytes())

    def finish(self) -> int:
        """Wait for ffmpeg; its own count of the file's frames."""
        import imageio_ffmpeg

        self._pipe.close()
        return int(imageio_ffmpeg.count_frames_and_secs(str(self._path))[0])

    def abandon(self) -> None:
        """End ffmpeg."""
        self._pipe.close()


class Gif:
    """Frames to a GIF that repeats, in the colours of its first frame.

    Args:
        path: Where.
        size: Width and height in pixels.
        seconds: How long a frame is shown; a GIF counts in hundredths.
    """

    def __init__(self, path: Path, size: tuple[int, int], seconds: float) -> None:
        self._path, self._duration = path, max(round(seconds * 100), 2) * 10
        self._frames: list[Image.Image] = []

    def add(self, frame: Picture) -> None:
        """The next frame."""
        image = Image.fromarray(frame)
        if not self._frames:
            self._frames.append(image.quantize(_COLOURS, dither=Image.Dither.NONE))
        else:
            self._frames.append(image.quantize(palette=self._frames[0], dither=Image.Dither.NONE))

    def finish(self) -> int:
        """Write them; frames by the time that they are shown, since equal ones in a row become one."""
        first, *others = self._frames
        first.save(
            self._path, "GIF", save_all=True, append_images=others, duration=self._duration, loop=0, optimize=False
        )
        with Image.open(self._path) as written:
            shown: float = sum(each.info["duration"] for each in ImageSequence.Iterator(written))
        return round(shown / self._duration)

    def abandon(self) -> None:
        """Forget the frames."""
        self._frames.clear()


class Reel:
    """The files of a film while they are written, complete or not there: a context manager.

    Args:
        paths: The files.
        size: Width and height of a frame in pixels, even.
        seconds: How long a frame is shown.
        frames: How many there will be.

    Raises:
        UserError: Too long a GIF, or a file that cannot be written; on leaving, one that lost frames.
    """

    def __init__(self, paths: Sequence[Path], size: tuple[int, int], seconds: float, frames: int) -> None:
        for path in paths:
            if path.suffix.lower() == ".gif" and size[0] * size[1] * frames > LARGEST_GIF:
                raise UserError(
                    f"A GIF of {frames} frames of {size[0]} x {size[1]} pixels does not fit into memory.",
                    where=f"--out {path}",
                    fix="Name an .mp4 file, or say a smaller --width or a larger --every.",
                )
        self._paths, self._expected, self._added = list(paths), frames, 0
        self._partial = [path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix.lower()}") for path in paths]
        kinds: dict[str, Any] = {".mp4": Mp4, ".gif": Gif}
        with explaining(paths[0]):
            for path in paths:
                make_folder(path.parent)
            self._writers: list[Writer] = [kinds[path.suffix](path, size, seconds) for path in self._partial]

    def __enter__(self) -> Reel:
        """Begin."""
        return self

    def add(self, frame: Picture) -> None:
        """The next frame."""
        self._added += 1
        with explaining(self._paths[0]):
            for writer in self._writers:
                writer.add(frame)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Count the frames in the files and put them in place; nothing is left of a film that failed."""
        try:
            with explaining(self._paths[0]):
                if kind is None:
                    self._finish()
                else:
                    for writer in self._writers:
                        writer.abandon()
        finally:
            for partial in self._partial:
                partial.unlink(missing_ok=True)

    def _finish(self) -> None:
        for path, partial, writer in zip(self._paths, self._partial, self._writers, strict=True):
            count = writer.finish()
            if not count == self._added == self._expected:
                raise UserError(
                    f"The film has {count} frames, and {self._expected} were drawn.",
                    where=str(path),
                    fix="Write it in the other format: .mp4 or .gif.",
                )
            os.replace(partial, path)


def write_still(path: Path, frame: Picture) -> None:
    """Write a PNG of few colours, complete or not at all (`UserError` if it cannot be written)."""
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{STILL}")
    with explaining(path):
        make_folder(path.parent)
        try:
            Image.fromarray(frame).quantize(_COLOURS, dither=Image.Dither.NONE).save(partial, "PNG", optimize=True)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
