"""One kernel machine fitted to a data set, and what that took."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasproxy.checks import Optional, Whole, checked
from nasproxy.data import Dataset
from nasproxy.data.dataset import Labels, Subset
from nasproxy.errors import SettingError
from nasproxy.machine import peak_memory
from nasproxy.solvers import (
    ConjugateGradientClassifier,
    EigenProClassifier,
    KernelRidgeClassifier,
)


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
    solver: EigenProClassifier | ConjugateGradientClassifier | KernelRidgeClassifier,
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
        solver: of which kernel, and not fitted yet; it is afterwards.
        n_train, n_valid: images of class-balanced subsets; None for the whole split.
        seed: of the subsets.
        checkpoint: as for :meth:`EigenPro.fit`, the only solver that has one.
        progress: show a progress bar.

    Raises:
        DataError: more images than there are.
        SettingError, DivergedError: as the solver's ``fit``.
    """
    for name, value, rule in (
        ("n_train", n_train, Optional(Whole())),
        ("n_valid", n_valid, Optional(Whole())),
        ("seed", seed, Whole(0)),
    ):
        checked("a fit", name, value, rule)
    train, labels = _subset(data, "train", n_train, seed)
    valid, valid_labels = _subset(data, "valid", n_valid, seed)  # Refused, if so, before the work.
    resumable = isinstance(solver, EigenProClassifier)
    if checkpoint is not None and not resumable:
        raise SettingError("a checkpoint is for solver eigenpro: others begin anew")
    options: dict[str, Any] = {"checkpoint": checkpoint} if resumable else {}
    if not isinstance(solver, KernelRidgeClassifier):
        options["progress"] = progress
    images = train[:]
    start = time.perf_counter()
    solver.fit(images, labels, **options)
    seconds = time.perf_counter() - start
    last: dict[str, float] = getattr(solver, "history_", [{}])[-1]
    return Report(
        len(labels),
        len(valid_labels),
        solver.score(images, labels),
        solver.score(valid[:], valid_labels),
        last.get("loss"),
        int(last.get("epoch", 0)),
        # EigenPro's rows say what a measurement came after, and a step comes after it.
        int(last["iteration"]) + resumable if last else 0,
        getattr(solver, "stopped_", "solved"),
        seconds,
        peak_memory(),
    )


def _subset(data: Dataset, split: str, n: int | None, seed: int) -> tuple[Subset, Labels]:
    if n is not None:
        return data.select(split, n, seed)
    labels: Labels = getattr(data, f"{split}_labels")
    return data.select(split, len(labels), seed, balanced=False)
