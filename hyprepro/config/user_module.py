"""Importing a user's own module: what it is found by, and what its mistakes look like to them."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType

from hyprepro.errors import UserError


def user_module(name: str, folder: Path, where: str) -> ModuleType:
    """Import a module that lies in a folder, or that Python finds.

    The folder is added to the end of Python's path, so that worker processes find the module under the same name.

    Args:
        name: Its dotted name.
        folder: Where the file lies that names it.
        where: The place of the name, for the error.

    Raises:
        UserError: There is none, another one has its name, or it raises while it is imported.
    """
    beside = folder.resolve().joinpath(*name.split("."))
    own = next((path for path in (beside.with_suffix(".py"), beside / "__init__.py") if path.is_file()), None)
    if own is not None and str(folder.resolve()) not in sys.path:
        sys.path.append(str(folder.resolve()))
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")) and own is None:
            raise UserError(
                f"There is no Python module named {name!r}.",
                where=where,
                fix=f"put it beside the gin file ({name.replace('.', '/')}.py), install it, or add its folder to "
                "PYTHONPATH",
            ) from None
        raise _raised(name, error, where) from error
    except (Exception, SystemExit) as error:
        raise _raised(name, error, where) from error
    found = getattr(module, "__file__", None)
    if own is not None and (found is None or Path(found).resolve() != own):
        raise UserError(
            f"Another module is named {name!r}, and Python finds it first.",
            where=f"{where}\n{own}\n{found or 'built into Python'}",
            fix="rename the file and the import",
        )
    return module


def _raised(name: str, error: BaseException, where: str) -> UserError:
    """What a module's own mistake was, and where: the last line of the traceback, and the place in their code."""
    last = traceback.format_exception_only(error)[-1].strip().splitlines()[0]
    if isinstance(error, SyntaxError):
        place = f"{error.filename}:{error.lineno}"
    else:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if not frame.filename.startswith(("<frozen", __file__))] or frames
        theirs = [frame for frame in own if not _is_library(frame.filename)] or own
        place = f"{theirs[-1].filename}:{theirs[-1].lineno}"
    return UserError(
        f"The module {name!r} could not be imported: {last[:300]}",
        where=f"{where}\n{place}",
        fix=f"correct it; python -c 'import {name}' in its folder shows the whole traceback",
    )


def _is_library(filename: str) -> bool:
    """Whether a file is Python's, an installed library's or this package's rather than the user's."""
    path = Path(filename)
    roots = (Path(__file__).parents[1], Path(traceback.__file__).parent)
    return "site-packages" in path.parts or any(path.is_relative_to(root) for root in roots)
