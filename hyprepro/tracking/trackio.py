"""trackio: a database on this machine, which `trackio show --project hyprepro` opens (TRACKIO_DIR says where)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

import trackio

from hyprepro.tracking.base import PROJECT, Page, Writer


class Trackio(Writer):
    """A curve is `training/metric`; the table is a Markdown panel."""

    def start(self, page: Page) -> None:
        config = {"recipe": dict(page.config), "command": page.command, "operative_config": page.operative_config}
        with redirect_stdout(sys.stderr):  # it prints, and standard output is the table's
            trackio.init(
                project=PROJECT, name=page.name, config=config, embed=False, auto_log_gpu=False, auto_log_cpu=False
            )

    def scalars(self, training: str, step: int, values: Mapping[str, float]) -> None:
        trackio.log({f"{training}/{metric}": value for metric, value in values.items()}, step=step)

    def table(self, markdown: str, result: Mapping[str, Any]) -> None:
        trackio.log({"table": trackio.Markdown(markdown)})

    def close(self) -> None:
        with redirect_stdout(sys.stderr):
            trackio.finish()
