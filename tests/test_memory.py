"""Peaks of memory, against allocations of known size."""

import gc
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks.memory import Peak
from nasproxy.machine import peak_memory

SIZE = 2**27
"""Bytes: more than the noise of a test process."""


def use(size: int) -> None:
    held = np.ones(size, np.uint8)
    time.sleep(0.2)  # Where a thread looks now and then, it looks once more.
    assert held[-1] == 1


@pytest.mark.parametrize("resettable", [True, False])
def test_a_peak_is_of_the_work_alone(resettable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what was held before nor a larger peak before it counts."""

    def refuse(*_: object) -> int:
        raise PermissionError

    if not resettable:
        monkeypatch.setattr(Path, "write_text", refuse)
    elif not Path("/proc/self/clear_refs").exists():
        pytest.skip("this system keeps no peak that can be reset")
    use(2 * SIZE)
    kept = np.ones(SIZE, np.uint8)
    gc.collect()  # What goes away during the work would hide some of it.
    peak = Peak()
    use(SIZE)
    assert peak.gib() == pytest.approx(SIZE / 2**30, abs=0.03)
    gc.collect()  # What goes away during the work would hide some of it.
    peak = Peak()
    assert peak.gib() < 0.03
    assert kept.any()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc is Linux's")
def test_a_peak_is_not_inherited() -> None:
    held = np.ones(SIZE, np.uint8)
    # Importing nothing of ours, so that the child stays small.
    source = Path(sys.modules[peak_memory.__module__].__file__ or "").read_text()
    function = source[source.index("def peak_memory") :]
    code = "import resource, sys\nfrom pathlib import Path\n" + function + "\nprint(peak_memory())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < SIZE / 2**30
    assert peak_memory() > SIZE / 2**30
    assert held.any()
