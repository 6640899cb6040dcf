"""TensorBoard, by torch's own writer: `tensorboard --logdir runs` shows all runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from hyprepro.tracking.base import Page, Writer

FOLDER = "tensorboard"
"""In the result's folder."""


class TensorBoard(Writer):
    """A curve is `training/metric`; the page's command, configuration and table are texts."""

    _sink: SummaryWriter

    def start(self, page: Page) -> None:
        """Begin anew: what an earlier attempt wrote is told again from the kept metrics."""
        folder = page.folder / FOLDER
        for earlier in folder.glob("events.out.tfevents.*"):
            earlier.unlink()
        self._sink = SummaryWriter(str(folder))
        self._text("command", _code(page.command))
        self._text("operative_config", _code(page.operative_config))
        self._text("config", _code(json.dumps(page.config, indent=1)))

    def scalars(self, training: str, step: int, values: Mapping[str, float]) -> None:
        for metric, value in values.items():
            self._sink.add_scalar(f"{training}/{metric}", value, step)

    def table(self, markdown: str, result: Mapping[str, Any]) -> None:
        self._text("table", markdown)

    def close(self) -> None:
        self._sink.close()

    def _text(self, name: str, markdown: str) -> None:
        self._sink.add_text(name, markdown)


def _code(text: str) -> str:
    """Text as it is, in Markdown."""
    return "".join(f"    {line}\n" for line in text.splitlines())
