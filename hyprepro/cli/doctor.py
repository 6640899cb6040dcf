"""`hyprepro doctor`: whether this machine and this environment can run a recipe, and what to do where they cannot."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from hyprepro.cli import console
from hyprepro.cli.arguments import JsonOption
from hyprepro.errors import UserError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from hyprepro.domains.base import Domain

Status = Literal["ok", "warning", "failure"]
_MARKS: dict[Status, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "warning": ("warn", "yellow"),
    "failure": ("FAIL", "red"),
}

DISK_WANTED = 2 * 1024**3
SUPPORTED = ((3, 11), (3, 14))


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    check: str
    status: Status
    detail: str
    fix: str = ""


def doctor(json: JsonOption = False) -> None:
    """Check Python, packages, stores, disk and processors; exit code 1 if something keeps a recipe from running."""
    findings = [finding for check in CHECKS for finding in check()]
    if json:
        console.print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark, style = _MARKS[finding.status]
            console.line(f"{mark:>4}  {finding.check}: {finding.detail}", style=style if mark != "ok" else "")
            if finding.fix:
                console.line(f"      do: {finding.fix}")
    if any(finding.status == "failure" for finding in findings):
        raise typer.Exit(1)


def check_python() -> Iterator[Finding]:
    """The interpreter's version against the supported ones."""
    version = sys.version_info[:2]
    text = sys.version.split()[0]
    if SUPPORTED[0] <= version < SUPPORTED[1]:
        yield Finding("python", "ok", text)
    else:
        yield Finding("python", "failure", f"{text} is not supported", "Use Python 3.11, 3.12 or 3.13.")


def check_gin() -> Iterator[Finding]:
    """The package `gin` on PyPI is another project; both provide the module `gin`."""
    if _version("gin") is not None:
        fix = "pip uninstall gin gin-config; pip install 'gin-config>=0.5,<0.6'"
        yield Finding("gin", "failure", "the package 'gin' is installed; hyprepro needs 'gin-config'", fix)
    elif _version("gin-config") is None:
        yield Finding("gin", "failure", "gin-config is not installed", "pip install 'gin-config>=0.5,<0.6'")
    else:
        yield Finding("gin", "ok", f"gin-config {_version('gin-config')}")


def check_packages() -> Iterator[Finding]:
    """Installed packages against the exact versions that were tested."""
    tested = tested_versions()
    if not tested:
        yield Finding("packages", "warning", "no constraints.txt beside the package: versions were not compared")
        return
    found = {name: _version(name) for name in tested}
    # "2.13.0+cpu" is torch 2.13.0 built for processors
    wrong = {name: (v, tested[name]) for name, v in found.items() if v and v.partition("+")[0] != tested[name]}
    wanted = _requirements()
    absent = sorted(name for name in wanted if _version(name) is None)
    fix = "pip install -e . -c constraints.txt"
    if absent:
        yield Finding("packages", "failure", f"not installed: {', '.join(absent)}", fix)
    if wrong:
        listed = ", ".join(f"{name} {have} (tested: {want})" for name, (have, want) in sorted(wrong.items()))
        yield Finding("packages", "warning", listed, fix)
    if not absent and not wrong:
        yield Finding("packages", "ok", f"all of {len(tested)} tested versions")


def check_comparability() -> Iterator[Finding]:
    """The simulators' versions, which are part of what a number means, against those that this version asks for."""
    from hyprepro.engine.provenance import IDENTITY

    asked = {each.name: next(iter(each.specifier)).version for each in _required() if each.name in IDENTITY}
    wrong = {name: have for name in asked if (have := _version(name)) not in (None, asked[name])}
    if wrong:
        detail = ", ".join(f"{name} {have}, not {asked[name]}" for name, have in sorted(wrong.items()))
        fix = "pip install " + " ".join(f"{name}=={asked[name]}" for name in sorted(wrong))
        yield Finding("comparability", "failure", f"{detail}: results are not comparable with any made on these", fix)
    else:
        yield Finding("comparability", "ok", ", ".join(f"{name} {version}" for name, version in sorted(asked.items())))


def check_stores() -> Iterator[Finding]:
    """The bundled stores: present, whole, and made with the installed simulator."""
    from hyprepro.domains.catalogue import domains

    for domain in domains():
        name = f"stores of {domain.title}"
        if not _has_stores(domain):
            yield Finding(name, "ok", "none: they are not bundled, hyprepro collect makes them")
            continue
        try:
            digests = domain.digests
        except UserError as error:
            yield Finding(name, "failure", f"{error.what} ({error.where})", error.fix)
        else:
            yield Finding(name, "ok", ", ".join(f"{kind} {digest[:12]}" for kind, digest in digests.items()))


def _has_stores(domain: Domain) -> bool:
    """Whether a domain's stores are here, or ought to be."""
    from hyprepro.stores.bundled import bundled

    ours = {name for files in bundled().stores.values() for name in files}
    if Path(domain.policies).name in ours:
        return True
    try:
        return domain.policies_path.is_file()
    except UserError:
        return False


def check_simulator() -> Iterator[Finding]:
    """Whether the simulators load and a first episode of each domain starts."""
    try:
        from hyprepro.domains.catalogue import domains

        for domain in filter(_has_stores, domains()):
            with domain.open_policies() as store:
                task = store.tasks[0]
            domain.simulator(task, 1).reset(0, domain.start("test", 0, task, 0))
    except Exception as error:  # whatever goes wrong in there is the finding
        yield Finding("simulator", "failure", f"{type(error).__name__}: {error}", "pip install -e . -c constraints.txt")
        return
    loaded = f"mujoco {_version('mujoco')}, metaworld {_version('metaworld')}"
    yield Finding("simulator", "ok", f"{loaded}: an episode starts")


def check_drawing() -> Iterator[Finding]:
    """What `hyprepro film` needs: an OpenGL library that draws without a screen, and ffmpeg."""
    from hyprepro.domains.camera import LIBRARIES, found_renderer
    from hyprepro.reports.film.files import has_ffmpeg

    name = found_renderer()
    if name:
        yield Finding("drawing", "ok", f"MuJoCo draws with {name}")
    else:
        fix = f"{LIBRARIES['egl']}, or {LIBRARIES['osmesa']}; no GPU is needed."
        yield Finding("drawing", "warning", "no OpenGL library that draws without a screen: hyprepro film cannot", fix)
    if has_ffmpeg():
        yield Finding("ffmpeg", "ok", "found")
    else:
        fix = "pip install 'hyprepro[film]' -c constraints.txt"
        yield Finding("ffmpeg", "warning", "not found: hyprepro film writes .gif and .png, and no .mp4", fix)


def check_machine() -> Iterator[Finding]:
    """Processors and free disk."""
    from hyprepro.engine.provenance import usable_cores

    cores = usable_cores()
    status: Status = "ok" if cores >= 2 else "warning"
    yield Finding("processors", status, f"{cores}", "" if cores >= 2 else "Two are used by default; use --workers 1.")
    free = shutil.disk_usage(Path.cwd()).free
    detail = f"{free / 1024**3:.1f} GB free in {Path.cwd()}"
    if free >= DISK_WANTED:
        yield Finding("disk", "ok", detail)
    else:
        yield Finding("disk", "warning", detail, "A run needs about 2 GB: free some, or use --cache and --out.")


def check_writing() -> Iterator[Finding]:
    """Whether results and finished stages can be written from here."""
    for name in ("runs", ".hyprepro"):
        folder = Path.cwd() / name
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
        if nearest.is_dir() and os.access(nearest, os.W_OK):
            yield Finding("writing", "ok", str(folder))
        else:
            fix = "Use --out and --cache with folders of yours."
            yield Finding("writing", "failure", f"{folder} cannot be written", fix)


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    check_python,
    check_gin,
    check_packages,
    check_comparability,
    check_simulator,
    check_stores,
    check_drawing,
    check_machine,
    check_writing,
)


def tested_versions() -> dict[str, str]:
    """The pins of `constraints.txt` at the top of the checkout, by package; empty for an installed wheel."""
    path = Path(__file__).resolve().parents[2] / "constraints.txt"
    if not path.is_file():
        return {}
    lines = (text.partition("#")[0].strip() for text in path.read_text(encoding="utf-8").splitlines())
    pins = (text.partition(";")[0].partition("==") for text in lines if "==" in text)
    return {name.strip().lower(): version.strip() for name, _, version in pins}


def _requirements() -> list[str]:
    """The packages that hyprepro cannot do without."""
    return [each.name for each in _required() if not each.marker or each.marker.evaluate({"extra": ""})]


def _required() -> list[Requirement]:
    """What hyprepro's metadata ask for."""
    from packaging.requirements import Requirement

    return [Requirement(text) for text in metadata.requires("hyprepro") or []]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
