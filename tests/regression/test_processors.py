"""The numbers of every committed result are the same bytes whatever kernels the processor makes BLAS and NumPy use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]

NEEDS = {"Prescott": "pni", "Sandybridge": "avx", "Haswell": "avx2", "SkylakeX": "avx512f"}
"""Kernels of OpenBLAS, each with the processor's flag that it cannot run without."""

REPORTED = {"Prescott": "Katmai"}
"""What the library calls a kernel where it has another name for it."""

PROGRAM = """\
import json, sys
from pathlib import Path
import numpy, threadpoolctl
from hyprepro.experiments.references import recomputed
from hyprepro.reports.reading import read_result

folders = sorted(Path(sys.argv[1]).glob("*/desktop"))
different = [folder.parent.name for folder in folders if recomputed(folder) != read_result(folder / "result.json")]
kernels = [pool["architecture"] for pool in threadpoolctl.threadpool_info() if pool["internal_api"] == "openblas"]
print(json.dumps({"results": len(folders), "different": different, "kernels": kernels}))
"""


def usable(kernel: str) -> bool:
    """Whether this processor can run a kernel; none is known of a processor that does not tell its flags."""
    try:
        return NEEDS[kernel] in Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False


def computed(**environment: str) -> dict[str, object]:
    """What a fresh process finds when it computes all committed results again from their records."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(ROOT / "results")],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **environment},
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, object] = json.loads(run.stdout)
    return found


@pytest.mark.parametrize("kernel", [kernel for kernel in NEEDS if usable(kernel)])
def test_a_forced_kernel_changes_no_number(kernel: str) -> None:
    found = computed(OPENBLAS_CORETYPE=kernel)
    assert set(found["kernels"]) == {REPORTED.get(kernel, kernel)}  # type: ignore[call-overload]
    assert found["different"] == []
    assert found["results"] >= 13


def test_numpy_without_its_wide_instructions_changes_no_number() -> None:
    wide = np._core._multiarray_umath.__cpu_dispatch__
    found = computed(NPY_DISABLE_CPU_FEATURES=" ".join(wide))
    assert found["different"] == []
