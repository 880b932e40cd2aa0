"""What several test modules share: paths, tables that may be absent, tiny data.

Arrays are checked against the library's signatures at every call (jaxtyping, beartype).
"""

from jaxtyping import install_import_hook

from tests.support.shapes import ROOMS

install_import_hook([f"nasproxy.{room}" for room in ROOMS], "tests.support.shapes.check")

# ruff: noqa: E402
import gc
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

from nasproxy.data import Dataset, from_arrays
from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import Shape
from search_spaces import NASBench101

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module", autouse=True)
def _programs_go_with_their_module() -> Iterator[None]:
    """Compiled programs of all modules came to 6.4 GB in one process; on the disk they stay."""
    yield
    jax.clear_caches()
    gc.collect()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of papers and tables beside the repository."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder shared/ is not beside the repository")
    return folder


@pytest.fixture(scope="session")
def truth_cells(shared: Path) -> pd.DataFrame:
    """Every cell of NAS-Bench-101 with its number of parameters, indexed by hash."""
    path = shared / "data" / "truth" / "nasbench101_cells.parquet"
    if not path.is_file():
        pytest.skip("shared/ holds no nasbench101_cells.parquet")
    columns = ["module_hash", "num_vertices", "trainable_parameters"]
    return pd.read_parquet(path, columns=columns).set_index("module_hash")


@pytest.fixture(scope="session")
def tiny_data() -> Dataset:
    """96 + 64 learnable colour images of 8×8 pixels in 4 classes."""
    return tiny_dataset(seed=0)


def tiny_dataset(seed: int) -> Dataset:
    """:func:`tiny_data` of a seed; other seeds are other images."""
    rng = np.random.default_rng(seed)
    patterns = rng.normal(size=(4, 8, 8, 3))
    splits = []
    for n in (96, 64):
        labels = np.arange(n) % 4
        images = patterns[labels] + rng.normal(scale=1.5, size=(n, 8, 8, 3))
        splits += [images.astype(np.float32), labels]
    return from_arrays(*splits, name="tiny")


def network_of(
    space: NASBench101, seed: int, image_shape: Shape = (8, 8, 3), classes: int = 4
) -> Graph:
    """The graph of one architecture that the space draws by a seed."""
    return space.graph(space.sample(1, seed)[0], image_shape, classes)
