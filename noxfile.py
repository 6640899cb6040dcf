"""The project's checks, each in an environment of its own: `nox -s tests`, `nox -l` for the list."""

from __future__ import annotations

import re
import shutil
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nox

nox.options.default_venv_backend = "virtualenv"
nox.options.sessions = ["lint", "types", "docs", "tests"]

CONSTRAINTS = ("-c", "constraints.txt")
NO_DEAD_LINKS = (
    "import importlib.metadata, re; text = importlib.metadata.metadata('hyprepro').get_payload(); "
    "assert 'Quick start' in text and not re.findall(r'\\]\\((?!https?://|#)', text)"
)
"""The README as a package index shows it links to nothing that is not there."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
IN_PARALLEL = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
"""Tests of one file share its expensive fixtures; files begin in the order of `tests/conftest.py`."""


@nox.session
def tests(session: nox.Session) -> None:
    """Run the test suite with the tested versions of everything: nox -s tests -- -k artifacts."""
    session.install("-e", ".[dev]", *CONSTRAINTS)
    session.run("pytest", *IN_PARALLEL, *session.posargs, env=ONE_THREAD)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and who imports whom."""
    session.install("ruff", "import-linter", *CONSTRAINTS)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", env={"PYTHONPATH": "."})  # it reads the modules and imports none


@nox.session
def types(session: nox.Session) -> None:
    """Check types strictly."""
    session.install("-e", ".[dev]", *CONSTRAINTS)
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into docs/_build; a warning is an error."""
    session.install("-e", ".[docs]", *CONSTRAINTS)
    session.run("sphinx-build", "--fail-on-warning", "--keep-going", "-q", "docs", "docs/_build", *session.posargs)


@nox.session(default=False)
def reproduce(session: nox.Session) -> None:
    """Train and evaluate Table 1 anew and hold it against the committed result."""
    session.install("-e", ".[dev]", *CONSTRAINTS)
    folder = Path(session.create_tmp())
    fresh = folder / "table1" / "result.json"
    session.run("hyprepro", "run", "table1", "--out", str(fresh.parent), "--cache", str(folder / "cache"))
    session.run("hyprepro", "check", "table1", "--result", str(fresh))
    session.run("pytest", "tests/regression", *session.posargs, env={**ONE_THREAD, "HYPREPRO_FRESH": str(fresh)})


@nox.session(default=False)
def stepper(session: nox.Session) -> None:
    """Hold the fast stepper against metaworld's own over a million steps (ten minutes): nox -s stepper -- reach."""
    session.install("-e", ".[dev]", *CONSTRAINTS)
    session.run("python", "-m", "tests.domains.metaworld.agreement", *session.posargs, env=ONE_THREAD)


@nox.session(default=False)
def statistics(session: nox.Session) -> None:
    """Hold our statistics against rliable's on the same records."""
    session.install("-e", ".[dev]", *CONSTRAINTS)
    session.install("rliable==1.2.0", "pandas<3")  # it wants arch<8, which does not work with pandas 3
    session.run("pytest", "tests/reports/test_rliable.py", *session.posargs, env=ONE_THREAD)


@nox.session(default=False)
def envpool(session: nox.Session) -> None:
    """Drive EnvPool's Meta-World beside ours, for its bench (about 750 MB to install)."""
    session.install("-e", ".[dev,envpool]", *CONSTRAINTS)
    session.run("pytest", "tests/benchmarks/test_envpool.py", *session.posargs, env=ONE_THREAD)


@nox.session(default=False)
def ray(session: nox.Session) -> None:
    """Run stages on a Ray cluster of two nodes on this machine (about 240 MB to install)."""
    session.install("-e", ".[dev,ray]", *CONSTRAINTS)
    env = {**ONE_THREAD, "RAY_worker_niceness": "0"}  # 15 otherwise, which on a busy machine is standing still
    session.run("pytest", "tests/engine/test_executors.py", "tests/engine/test_ray.py", *session.posargs, env=env)


@nox.session(default=False)
def trackers(session: nox.Session) -> None:
    """Follow a run by Weights & Biases and by trackio, offline (about 150 MB to install)."""
    session.install("-e", ".[dev,wandb,trackio]", *CONSTRAINTS)
    session.run("pytest", "tests/cli/test_curves.py", *session.posargs, env=ONE_THREAD)


@nox.session(default=False)
def minimums(session: nox.Session) -> None:
    """Run the tests with the lowest version of every dependency that pyproject.toml allows."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    lowest = [re.sub(r">=([^,]+).*", r"==\1", requirement) for requirement in project["dependencies"]]
    session.install("-e", ".[dev]", *lowest)
    session.run("pytest", *IN_PARALLEL, *session.posargs, env=ONE_THREAD)


@nox.session(default=False)
def newest(session: nox.Session) -> None:
    """Run the tests with the newest of everything that pyproject.toml allows (perhaps another torch: 200 MB)."""
    session.install("--upgrade", "--upgrade-strategy", "eager", "-e", ".[dev]")
    session.run("pytest", *IN_PARALLEL, *session.posargs, env=ONE_THREAD)


@nox.session(default=False)
def fuzz_config(session: nox.Session) -> None:
    """Resolve or refuse 10,000 generated bindings and gin files: nox -s fuzz_config -- --first 5000 --count 100."""
    session.install("-e", ".[dev]", *CONSTRAINTS)
    session.run("python", "-m", "campaign.fuzz_config", *session.posargs, env=ONE_THREAD)


@nox.session(default=False)
def fuzz_files(session: nox.Session) -> None:
    """Read 1,000 damaged stores, results, zips and sets, or refuse them: nox -s fuzz_files -- --kind 'SB3 zip'."""
    session.install("-e", ".[dev]", *CONSTRAINTS)
    session.run("python", "-m", "campaign.fuzz_files", *session.posargs, env=ONE_THREAD)


@nox.session(default=False)
def chaos(session: nox.Session) -> None:
    """Kill a run 100 times and a collection 20 times, fill disks, take locks and memory away; then run to the end."""
    session.install("-e", ".[dev]", *CONSTRAINTS)
    if session.posargs:
        session.run("python", "-m", "campaign.chaos", *session.posargs, env=ONE_THREAD)
        return
    session.run("python", "-m", "campaign.chaos", "--kills", "100", env=ONE_THREAD)
    session.run("python", "-m", "campaign.chaos", "--kills", "20", "--collection", "cheetah-vel-smoke", env=ONE_THREAD)


@nox.session(default=False)
def determinism(session: nox.Session) -> None:
    """Digests of every recipe at smoke scale under other kernels, threads and workers, as a table."""
    session.install("-e", ".[dev]", *CONSTRAINTS)
    session.run("python", "-m", "campaign.determinism", *session.posargs, env=ONE_THREAD)


@nox.session(default=False)
def build(session: nox.Session) -> None:
    """Build the wheel and use it without the repository: the smoke table, its stores fetched from a local server."""
    session.install("hatchling", "hatch-fancy-pypi-readme", *CONSTRAINTS)
    folder = Path(session.create_tmp()).resolve()
    for stale in (*folder.glob("*.whl"), *folder.glob("*.tar.gz")):
        stale.unlink()
    session.run("hatchling", "build", "-t", "sdist", "-d", str(folder))
    (source,) = folder.glob("*.tar.gz")
    session.run("pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(source))
    (wheel,) = folder.glob("*.whl")
    session.install(f"{wheel}[hub]", *CONSTRAINTS)
    result = shutil.copy("results/table1/desktop/result.json", folder)
    stores = Path("stores").resolve()
    session.chdir(folder)
    shutil.rmtree("stores", ignore_errors=True)
    session.run("python", "-c", NO_DEAD_LINKS)
    session.run("hyprepro", "list")
    session.run("hyprepro", "doctor", success_codes=[1])  # it says that the stores are missing
    session.run("hyprepro", "check", "table1", "--result", str(result))  # held against the reference in the wheel
    session.run("hyprepro", "run", "table1", "--dry-run", success_codes=[2])  # its panel names the next command
    with _served(stores) as url:
        session.run("hyprepro", "store", "fetch", "metaworld", "--from", url)
    session.run("hyprepro", "run", "table1", "--scale", "smoke", "--out", str(folder / "smoke"))


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """The URL of a folder, served on this machine for the time of a block."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
