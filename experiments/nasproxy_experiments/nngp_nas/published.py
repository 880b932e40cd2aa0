"""Published accuracies of NAS-Bench-101: of long training, and of shortened training."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pyarrow import parquet

from nasproxy.errors import SettingError, TruthError
from nasproxy.truth import reading, tables

CELLS, BUDGETS = "nasbench101_cells.parquet", "nasbench101_budgets.parquet"
TRUTH = "test_accuracy_108"
EPOCHS = (4, 12, 36)


@dataclass(frozen=True)
class Published:
    """By module hash.

    Attributes:
        truth: mean test accuracy after 108 epochs.
        shortened: validation accuracy of one trial, a column for each of 4, 12 and 36 epochs.
        parameters: trainable ones of every network; None where the table has none.
        full: validation accuracy of one trial after 108 epochs; likewise.
    """

    truth: pd.Series
    shortened: pd.DataFrame
    parameters: pd.Series | None = None
    full: pd.Series | None = None

    def draw(self, n: int, seed: int) -> list[str]:
        """Hashes of cells that have both, each equally likely; a smaller draw begins a larger."""
        both = tables.known(self.shortened.index, self.truth)
        if n > len(both):
            raise SettingError(f"cells={n}: shortened training is published for {len(both)} cells")
        return pd.Series(sorted(both)).sample(frac=1, random_state=seed)[:n].tolist()


def read_published(path: Path) -> Published:
    """Reads a folder with the two tables, or the one that ``nasproxy truth import`` makes.

    Raises:
        TruthError: a table or a column is missing.
    """
    if path.is_dir():
        missing = [name for name in (CELLS, BUDGETS) if not (path / name).is_file()]
        if missing:
            raise TruthError(
                f"{path} has no {' and no '.join(missing)}: give a folder with {CELLS} "
                f"(module_hash, {TRUTH}) and {BUDGETS} (module_hash, validation_accuracy_4, _12, "
                "_36), or the table that `nasproxy truth import nasbench_full.tfrecord` makes"
            )
        long, short = path / CELLS, path / BUDGETS
    else:
        long = short = path
    # One trial, as the paper has it: an imported table's plain columns are means over three.
    columns = {epochs: f"validation_accuracy_{epochs}" for epochs in EPOCHS}
    if path.is_file() and path.suffix == ".parquet":
        names = parquet.read_schema(path).names
        columns = {e: f"{c}_trial0" if f"{c}_trial0" in names else c for e, c in columns.items()}
    shortened = {epochs: tables.read(short, column) for epochs, column in columns.items()}
    frame = pd.DataFrame(shortened).dropna()
    parameters = _if_there(long, "trainable_parameters")
    return Published(
        tables.read(long, TRUTH), frame, parameters, _if_there(short, "validation_accuracy_108")
    )


def _if_there(path: Path, column: str) -> pd.Series | None:
    return tables.read(path, column) if column in reading.names(path) else None
