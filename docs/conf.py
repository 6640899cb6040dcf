"""How Sphinx builds the site: `nox -s docs`."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]  # the extension, and the package of this very checkout

_PROJECT = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = _PROJECT["name"]
author = _PROJECT["authors"][0]["name"]
copyright = author
version = release = _PROJECT["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax", "site_pages"]
myst_enable_extensions = ["deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "generated/disputed.md", "generated/statements.md"]  # parts of a page
suppress_warnings = ["myst.header"]  # an included text begins at the level that it has where it is written

smartquotes = False  # quotes are those of gin
default_role = "code"  # single backticks in docstrings, as in Markdown
autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_use_ivar = True  # attributes of a docstring are no entries of their own beside the fields

html_theme = "furo"
html_title = f"{project} {version}"
html_show_sourcelink = False
html_show_copyright = False
