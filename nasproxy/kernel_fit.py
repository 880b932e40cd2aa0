"""One kernel machine fitted to a data set, and what that took."""

import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from nasproxy.data import Dataset
from nasproxy.data.dataset import Labels
from nasproxy.errors import SettingError
from nasproxy.kernels import FullyConnected
from nasproxy.solvers import ConjugateGradient, EigenPro, Ridge


@dataclass(frozen=True)
class Report:
    """What came out of a fit.

    Attributes:
        n_train, n_valid: images.
        train_accuracy, valid_accuracy: shares classified rightly after the fit.
        loss: EigenPro's mean training loss in the last epoch; None for other solvers.
        epochs, iterations: made, as far as the solver counts them, else 0.
        stopped: why it ended.
        seconds: of the fit, without data and predictions.
        peak_memory: GiB, of the whole process.
    """

    n_train: int
    n_valid: int
    train_accuracy: float
    valid_accuracy: float
    loss: float | None
    epochs: int
    iterations: int
    stopped: str
    seconds: float
    peak_memory: float


def fit(
    data: Dataset,
    kernel: FullyConnected,
    solver: EigenPro | ConjugateGradient | Ridge,
    *,
    n_train: int | None = None,
    n_valid: int | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: bool = True,
) -> Report:
    """Fits a kernel machine to training images and measures it on validation images.

    Args:
        data: images, standardised per channel.
        kernel: of which images.
        solver: not fitted yet; it is afterwards.
        n_train, n_valid: images of class-balanced subsets; None for the whole split.
        seed: of the subsets.
        checkpoint: as for :meth:`EigenPro.fit`, the only solver that has one.
        progress: show a progress bar.

    Raises:
        DataError: more images than there are.
        SettingError, DivergedError: as the solver's ``fit``.
    """
    images, labels = _subset(data, "train", n_train, seed)
    start = time.perf_counter()
    if isinstance(solver, EigenPro):
        solver.fit(kernel, images, labels, progress=progress, checkpoint=checkpoint)
    elif checkpoint is not None:
        raise SettingError("a checkpoint is for solver eigenpro: others begin anew")
    elif isinstance(solver, ConjugateGradient):
        solver.fit(kernel, images, labels, progress=progress)
    else:
        solver.fit(kernel, images, labels)
    seconds = time.perf_counter() - start
    last = {} if isinstance(solver, Ridge) else solver.history_[-1]
    valid, valid_labels = _subset(data, "valid", n_valid, seed)
    return Report(
        len(labels),
        len(valid_labels),
        solver.score(images, labels),
        solver.score(valid, valid_labels),
        last.get("loss"),
        int(last.get("epoch", 0)),
        _iterations(solver),
        "solved" if isinstance(solver, Ridge) else solver.stopped_,
        seconds,
        peak_memory(),
    )


def _iterations(solver: EigenPro | ConjugateGradient | Ridge) -> int:
    if isinstance(solver, Ridge):
        return 0
    # EigenPro's rows say what a measurement came after, and a step comes after it.
    return int(solver.history_[-1]["iteration"]) + isinstance(solver, EigenPro)


def _subset(data: Dataset, split: str, n: int | None, seed: int) -> tuple:
    if n is not None:
        return data.subset(split, n, seed)
    labels: Labels = getattr(data, f"{split}_labels")
    return data.subset(split, len(labels), seed, balanced=False)


def peak_memory() -> float:
    """GiB that this process has held at most.

    On Linux from /proc: there ``ru_maxrss`` is no less than what the program held that started
    this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**20
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**30 if sys.platform == "darwin" else 2**20)  # macOS counts bytes.
