"""The parts that the whole space is scored in, and what each file of them holds.

A part is a uniform draw without replacement, so that whichever are finished are a fair sample; all
parts together hold every cell once. Rows are numbers of cells in the space's own order, that of
:func:`search_spaces.nasbench101.enumeration.all_cells`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nasproxy import NNGP, truth
from nasproxy.errors import StoreError
from nasproxy.proxies.kernel_regression import MEASURES, OF_VALIDATION

CELLS, PARTS, ORDER = 423_624, 256, 0
SEED = 0
"""Of subsets and initialisations: another number is another table."""
MEASURED = tuple(measure for measure in MEASURES if measure not in OF_VALIDATION)
ROW = "row"
TABLE = "nngp.parquet"
"""All parts in one file, which takes their place."""


def rows(part: int) -> np.ndarray:
    """The cells of a part, increasing."""
    order = np.random.default_rng(ORDER).permutation(CELLS)
    return np.sort(np.array_split(order, PARTS)[part]).astype(np.uint32)


def path(folder: Path, part: int) -> Path:
    """A part's file."""
    return folder / "parts" / f"part_{part:03d}.parquet"


def finished(folder: Path) -> list[int]:
    """The parts whose file is there; files are written whole or not at all."""
    return [part for part in range(PARTS) if path(folder, part).exists()]


def frame(scored: pd.DataFrame, proxy: NNGP, part: int, about: dict[str, Any]) -> pd.DataFrame:
    """What a part's file holds, of what :func:`nasproxy.score` returned for its cells in order."""
    values = {ROW: rows(part)}
    for measure in MEASURED:
        column = proxy.name if measure == proxy.measure else f"{proxy.name}[{measure}]"
        values[measure] = scored[column].to_numpy(np.float32)
    made = pd.DataFrame(values)
    made.attrs.update(about)
    made.attrs.update({"part": part, "failures": scored.attrs["failed"][proxy.name]})
    return made


def read(folder: Path, part: int) -> pd.DataFrame:
    """A finished part.

    Raises:
        StoreError: its rows are not those of the part, or a column is not what it should be.
    """
    found = pd.read_parquet(path(folder, part))
    if list(found.columns) != [ROW, *MEASURED] or found.attrs.get("part") != part:
        raise StoreError(f"{path(folder, part).name} is no part {part} of this table: delete it")
    if not np.array_equal(found[ROW].to_numpy(), rows(part)):
        raise StoreError(f"{path(folder, part).name} holds other cells than its part: delete it")
    return found


def write(folder: Path, made: pd.DataFrame) -> None:
    """Writes a part's file."""
    target = path(folder, made.attrs["part"])
    target.parent.mkdir(parents=True, exist_ok=True)
    truth.write_table(made, target)
