from __future__ import annotations

import os
import subprocess
import sys
import time

from hyprepro.engine.provenance import PeakMemory, hardware


def test_hardware_is_named_without_the_machine() -> None:
    found = hardware()
    assert set(found) == {"cpu", "cores", "memory_gb"}
    assert found["cpu"]
    assert 1 <= found["cores"] <= (os.cpu_count() or 1)
    assert found["memory_gb"] > 0.1
    assert os.uname().nodename not in str(found)


def test_the_peak_covers_the_memory_of_child_processes() -> None:
    with PeakMemory() as alone:
        time.sleep(0.1)
    child = subprocess.Popen(
        [sys.executable, "-c", "x = bytearray(b'1') * 150_000_000; print(1, flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.readline()
    with PeakMemory() as both:
        time.sleep(0.1)
    child.communicate(b"\n")
    assert both.megabytes > alone.megabytes + 130
