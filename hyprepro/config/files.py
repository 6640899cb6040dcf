"""Where gin files are: the shipped tree, and how a name or an include becomes a path.

The shipped tree is `gin/` at the top of a checkout, or `hyprepro/gin` in an installed wheel. A file under it is
*shipped*; every other file belongs to the user, and the rules for it are stricter (see `registry`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from hyprepro.errors import UserError, closest_match

SUFFIX = ".gin"
MOST_BYTES = 4 * 2**20
KINDS = ("recipes", "scales", "variants", "collections")

_MARKS = re.compile("^\ufeff+", re.MULTILINE)
"""At the start of a file, and of what was a file before several were joined."""


def gin_root() -> Path:
    """The folder of the shipped gin files.

    Raises:
        UserError: if the installation has none.
    """
    package = Path(__file__).resolve().parents[1]
    for candidate in (package / "gin", package.parent / "gin"):
        if (candidate / "recipes").is_dir():
            return candidate
    raise UserError(
        "The gin files that belong to hyprepro are missing.",
        where=f"{package / 'gin'} or {package.parent / 'gin'}",
        fix="Install hyprepro again: pip install -e . -c constraints.txt",
    )


def is_shipped(path: Path) -> bool:
    """Whether a file belongs to hyprepro rather than to the user."""
    return path.resolve().is_relative_to(gin_root())


def display(path: Path) -> str:
    """The path as a message shows it: `gin/...` for shipped files, relative to the working folder if shorter."""
    path = path.resolve()
    if is_shipped(path):
        return str(Path("gin") / path.relative_to(gin_root()))
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)


def shipped(kind: str) -> dict[str, Path]:
    """The shipped files of one kind ("recipes", "scales", "variants", "domains") by name, sorted."""
    folder = gin_root() / kind
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def named_file(kind: str, name: str | Path) -> Path:
    """The file for a recipe, scale or variant given by name (`table1`) or by path (`my/table1.gin`).

    Args:
        kind: "recipes", "scales" or "variants".
        name: A shipped name, or a path that ends in `.gin`.

    Raises:
        UserError: if there is no such file; names the closest one.
    """
    singular = kind.removesuffix("s")
    if str(name).endswith(SUFFIX):
        return user_file(name, f"the {singular} file")
    known = shipped(kind)
    if str(name) in known:
        return known[str(name)]
    offered = ", ".join(known)
    raise UserError(
        f"There is no {singular} named {str(name)!r}.",
        where=f"gin/{kind}/ has: {offered}",
        closest=closest_match(str(name), known),
        fix=f"List them with `hyprepro list`, or give the path of your own {singular} file, ending in {SUFFIX}.",
    )


def user_file(name: str | Path, role: str) -> Path:
    """A file that the user named, looked up from the working folder and then from the shipped tree.

    Raises:
        UserError: if it is in neither; names the closest file.
    """
    return _first_file(str(name), [Path.cwd(), gin_root()], f"{role} {str(name)!r} does not exist.", where="")


def included_file(name: str, includer: Path | None, where: str) -> Path:
    """The file that an `include` means: beside the including file, in the shipped tree, or in the working folder.

    Args:
        name: The text of the include statement.
        includer: The file that holds the statement; None for a binding of the command line.
        where: The place of the statement, for the error.

    Raises:
        UserError: if there is none; names the folders that were searched and the closest file.
    """
    roots = [includer.parent] if includer else []
    return _first_file(name, [*roots, gin_root(), Path.cwd()], f"the included file {name!r} does not exist.", where)


def read(path: Path) -> str:
    """The text of a gin file, without the byte-order marks of Windows editors, which nobody sees.

    Raises:
        UserError: if it cannot be read as text.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(
                "A gin file is too large.",
                where=f"{display(path)}: {path.stat().st_size} bytes; at most {MOST_BYTES} are read",
                fix="Name a text file of bindings.",
            )
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            "A gin file cannot be read.",
            where=f"{display(path)}: it is not UTF-8 text",
            fix="Save it as UTF-8; some editors say UTF-16 or 'Unicode' for what they do by default.",
        ) from error
    except OSError as error:
        raise UserError(
            "A gin file cannot be read.",
            where=f"{display(path)}: {error.strerror or error}",
            fix="Name a readable text file.",
        ) from error
    return _MARKS.sub("", text)


def _first_file(name: str, roots: Iterable[Path], problem: str, where: str) -> Path:
    roots = list(dict.fromkeys(root.resolve() for root in roots))
    for root in roots:
        if _is(Path.is_file, root / name):
            return (root / name).resolve()
    searched = "searched in: " + ", ".join(str(root) for root in roots)
    raise UserError(
        problem[0].upper() + problem[1:],
        where=f"{where}\n{searched}" if where else searched,
        closest=_closest_file(name, roots),
        fix=f"Correct the path; paths are relative to these folders and end in {SUFFIX}.",
    )


def _closest_file(name: str, roots: list[Path]) -> str:
    """The file most like `name`: by its last part first, as folders are more often right than file names."""
    options: dict[str, str] = {}
    for root in roots:
        folders = [root, (root / name).parent] if root != gin_root() else [root]
        for folder in folders:
            # A user's folder may be large: only the shipped tree is searched in depth.
            pattern = f"**/*{SUFFIX}" if folder == gin_root() else f"*{SUFFIX}"
            for path in sorted(folder.glob(pattern)) if _is(Path.is_dir, folder) else []:
                options.setdefault(path.name, str(path.relative_to(root)) if path.is_relative_to(root) else str(path))
    whole = closest_match(name, options.values())
    last = closest_match(Path(name).name, options)
    return options[last] if last else whole


def _is(kind: Callable[[Path], bool], path: Path) -> bool:
    """Whether a path is a file, or a folder; one that the system does not take is neither."""
    try:
        return kind(path)
    except OSError:  # too long, or in a folder that may not be read
        return False


def purpose(path: Path) -> str:
    """What a gin file is for: the first line of its header comment."""
    first = read(path).partition("\n")[0]
    return first.lstrip("# ").strip() if first.startswith("#") else ""


def binding(target: str) -> list[str]:
    """The lines of shipped gin files that bind `Component.field`, each with its place: `gin/a.gin:3: C.f = 1`."""
    line_of = re.compile(rf"(\w+/)*{re.escape(target)}\s*=")
    return [
        f"{display(path)}:{number}: {line.strip()}"
        for path in sorted(gin_root().rglob(f"*{SUFFIX}"))
        for number, line in enumerate(read(path).splitlines(), start=1)
        if line_of.match(line)
    ]


def mentioning(component: str) -> list[Path]:
    """The shipped gin files that bind or refer to a component, sorted."""
    word = re.compile(rf"(^|[@/]){re.escape(component)}\b", re.MULTILINE)
    return sorted(path for path in gin_root().rglob(f"*{SUFFIX}") if word.search(read(path)))
