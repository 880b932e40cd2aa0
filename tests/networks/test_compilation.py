"""Nothing compiles per architecture, and memory stays flat; each in a process of its own."""

import json
import subprocess
import sys
from typing import Any

import pytest

from nasproxy.networks import execution
from search_spaces import NASBench101
from tests.conftest import ROOT

HEADER = """
import gc, json, os
import jax
from nasproxy.networks import features
from nasproxy.proxies import NNGP, NTK
from search_spaces import NASBench101
from tests.conftest import tiny_dataset

features.engine = lambda: "xla"  # Lanes compile nothing at all.
programs = []
def listen(name, seconds, **_):
    # Recorded for every program that this process has not met, also those read from the disk.
    if name == "/jax/core/compile/backend_compile_duration":
        programs.append(seconds)
jax.monitoring.register_event_duration_secs_listener(listen)

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

def scorer(kind=NNGP, **settings):
    space = NASBench101(width=16, **settings)
    proxy = kind(n_train=8, n_valid=8, norm_images=8)
    return space, proxy.prepare(space, tiny_dataset(0), 0)
"""


def measured(code: str) -> Any:
    """The JSON that the code prints last."""
    command = [sys.executable, "-c", HEADER + code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.slow
def test_fresh_cells_need_hardly_a_program() -> None:
    """After 200 uniform cells, 100 others need a handful of programs: the rarest layers."""
    warm, fresh = measured("""
space, score = scorer(cells=1)
cells = space.sample(300, seed=11)
for cell in cells[:200]:
    score(cell)
warm = len(programs)
for cell in cells[200:]:
    score(cell)
print(json.dumps([warm, len(programs) - warm]))
""")
    print(f"{warm} programs for 200 cells, {fresh} more for 100 others")
    assert warm > 10, "the listener hears nothing: this test would pass whatever compiles"
    assert fresh <= 5


@pytest.mark.slow
def test_the_ntk_of_fresh_cells_needs_hardly_a_program() -> None:
    """A backward program for every layer, and none for an architecture."""
    warm, fresh = measured("""
space, score = scorer(NTK, stacks=1, cells=1)
cells = space.sample(120, seed=11)
for cell in cells[:60]:
    score(cell)
warm = len(programs)
for cell in cells[60:]:
    score(cell)
print(json.dumps([warm, len(programs) - warm]))
""")
    print(f"{warm} programs for 60 cells, {fresh} more for 60 others")
    assert warm > 10
    assert fresh <= 16


@pytest.mark.parametrize(("width", "most"), [(16, 130), (128, 160)])
def test_a_space_holds_few_distinct_layers(width: int, most: int) -> None:
    """A program is a layer and its inputs' shapes: counted over 1,000 cells without compiling."""
    space = NASBench101(width=width)
    layers = set()
    for cell in space.sample(1_000, seed=5):
        graph = execution.pad(space.graph(cell, (8, 8, 3), 10))
        layers |= {(s.layer, tuple(graph.shapes[i] for i in s.inputs)) for s in graph.steps}
    assert len(layers) <= most


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_stays_flat() -> None:
    """Once every program is there, 300 scores of fresh cells leave the process as large."""
    levels = measured("""
space, score = scorer(stacks=1, cells=1)
cells = space.sample(600, seed=13)
for cell in cells[:300]:
    score(cell)
levels = [resident()]
for start in range(300, 600, 100):
    for cell in cells[start:start + 100]:
        score(cell)
    levels.append(resident())
print(json.dumps(levels))
""")
    print("resident MiB after 300, 400, 500 and 600 scores:", levels)
    assert levels[-1] - levels[0] < 12
    assert levels[-1] - levels[-2] < 6
