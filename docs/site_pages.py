"""The Sphinx extension of this site: pages that are written from the code, and the links of included texts.

Before Sphinx looks for its sources, a page of every component is written from the registry, one of every command from
the command line, one of every committed result around its table, and two parts of the page on deviations.
They lie in `docs/generated`, which is not committed; a page whose text is what it was is left alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import generated_commands
import generated_components
import generated_deviations
import generated_results

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
GENERATED = DOCS / "generated"
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CITATION.cff": "citing.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
    "examples/hopper-gravity": "environment.md",
    "results/README.md": "results.md",
}
"""What of the repository a page of the site holds."""
PICTURES = {".svg", ".png"}

_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s]+)(?=\))")


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", lambda _: write_pages(GENERATED))
    app.connect("include-read", _link_included)
    return {"parallel_read_safe": True}


def write_pages(folder: Path) -> None:
    """Write all generated pages into a folder, and remove those of what is gone."""
    pages = dict(pages_by_name())
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in [path for path in folder.rglob("*.md") if str(path.relative_to(folder)) not in pages]:
        path.unlink()


def pages_by_name() -> Iterator[tuple[str, str]]:
    """The generated pages: their paths within `docs/generated`, and their Markdown."""
    yield from generated_components.pages()
    yield from generated_deviations.pages(ROOT)
    yield from generated_commands.pages()
    yield from generated_results.pages(ROOT)


def _link_included(app: Sphinx, path: Path, page: str, content: list[str]) -> None:
    """Let the links of an included text of the repository lead to pages of the site, or to the files themselves."""
    folder = (Path(app.srcdir) / path).resolve().parent
    here = (Path(app.srcdir) / page).parent
    content[:] = [_LINK.sub(lambda link: linked(link[1], folder, here), text) for text in content]


def linked(target: str, folder: Path, here: Path) -> str:
    """Where a link of a text in `folder` leads from a page in `here`."""
    path, mark, anchor = target.partition("#")
    file = (folder / path).resolve()
    if not file.is_relative_to(ROOT):
        return target
    inside = str(file.relative_to(ROOT))
    table = re.fullmatch(r"results/(\w+)/desktop/table\.md", inside)
    page = f"generated/results/{table[1]}.md" if table else PAGES.get(inside)
    if page is not None:
        return os.path.relpath(DOCS / page, here) + mark + anchor
    relative = os.path.relpath(file, here)
    is_shown = file.is_relative_to(DOCS) or file.suffix in PICTURES
    return relative if is_shown or not file.is_file() else f"path:{relative}"
