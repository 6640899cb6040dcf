"""A page of every committed result, around the table that was adopted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

INDEX = """# Tables

Each as `hyprepro adopt` wrote it from a run's records; [Results](../../results.md) says how to read them.

```{{toctree}}
:maxdepth: 1

{names}
```
"""
PAGE = """```{{include}} {path}
```
"""


def pages(root: Path) -> Iterator[tuple[str, str]]:
    """The index and the results: paths and Markdown."""
    names = sorted(path.parent.parent.name for path in (root / "results").glob("*/desktop/table.md"))
    yield "results/index.md", INDEX.format(names="\n".join(names))
    for name in names:
        yield f"results/{name}.md", PAGE.format(path=f"../../../results/{name}/desktop/table.md")
