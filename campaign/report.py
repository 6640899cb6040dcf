"""What a campaign says at its end: how many cases, how they ended, what they cost, and every fault by its kind."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Report:
    """The figures of a campaign, as cases end.

    Args:
        name: Which campaign.
        seed: Its seed.
        first: The number of its first case.
    """

    name: str
    seed: int
    first: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    counts: dict[str, int] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    slowest: tuple[float, str] = (0.0, "")
    largest: tuple[int, str] = (0, "")
    started: float = field(default_factory=time.perf_counter)
    busy: float = field(default_factory=time.process_time)

    def ended(self, how: str, case: str, seconds: float = 0.0, megabytes: int = 0) -> None:
        """A case is over."""
        self.endings[how] += 1
        self.slowest = max(self.slowest, (round(seconds, 3), case))
        self.largest = max(self.largest, (megabytes, case))

    def fault(self, kind: str, case: str) -> None:
        """A case went wrong; `kind` is short and the same for cases that go wrong alike."""
        self.faults.setdefault(kind, []).append(case)

    def described(self) -> dict[str, object]:
        """All of it as JSON-ready data."""
        return {
            "campaign": self.name,
            "seed": self.seed,
            "first": self.first,
            "cases": sum(self.endings.values()),
            **self.counts,
            "endings": dict(sorted(self.endings.items())),
            "seconds": round(time.perf_counter() - self.started, 1),
            "processor_seconds": round(time.process_time() - self.busy, 1),
            "slowest": self.slowest,
            "largest_mb": self.largest,
            "faults": {
                kind: {"cases": len(cases), "such_as": cases[:5]} for kind, cases in sorted(self.faults.items())
            },
        }

    def finish(self, out: Path | None) -> int:
        """Print the figures, write them where asked, and return the exit code: 1 if anything went wrong."""
        text = json.dumps(self.described(), indent=1, ensure_ascii=True)
        print(text)
        if out is not None:
            out.write_text(text + "\n", encoding="utf-8")
        return 1 if self.faults else 0
