"""Weights & Biases: online where you are logged in, on this machine alone with WANDB_MODE=offline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import wandb

from hyprepro.errors import UserError
from hyprepro.tracking.base import PROJECT, Page, Writer

COLUMNS = ("method", "split", "task", "protocol", "statistic", "metric", "value", "low", "high", "paper")


class WeightsAndBiases(Writer):
    """A curve is `training/metric` over `training/step`, since every training counts its own steps."""

    _run: Any

    def start(self, page: Page) -> None:
        config = {"recipe": dict(page.config), "command": page.command, "operative_config": page.operative_config}
        settings = wandb.Settings(console="off", silent=True, disable_git=True, save_code=False, x_disable_stats=True)
        page.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._run = wandb.init(
                project=PROJECT, name=page.name, dir=str(page.folder), config=config, settings=settings
            )
        except wandb.errors.Error as error:
            raise UserError(
                f"Weights & Biases does not begin a run: {str(error).splitlines()[0]}.",
                where="--track wandb",
                fix="wandb login, or export WANDB_MODE=offline and wandb sync later",
            ) from None
        self._known: set[str] = set()

    def scalars(self, training: str, step: int, values: Mapping[str, float]) -> None:
        if training not in self._known:
            self._known.add(training)
            self._run.define_metric(f"{training}/*", step_metric=f"{training}/step")
        named = {f"{training}/{metric}": value for metric, value in values.items()}
        self._run.log({**named, f"{training}/step": step})

    def table(self, markdown: str, result: Mapping[str, Any]) -> None:
        rows = [[*(row.get(name) for name in COLUMNS[:7]), *_ends(row), row.get("paper")] for row in result["rows"]]
        self._run.log({"rows": wandb.Table(columns=list(COLUMNS), data=rows)})
        self._run.summary["table"] = markdown
        self._run.summary["digest"] = result.get("digest")

    def close(self) -> None:
        self._run.finish()


def _ends(row: Mapping[str, Any]) -> list[Any]:
    return list(row.get("ci95") or (None, None))
