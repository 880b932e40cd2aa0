"""One kernel machine fitted to a data set, and what that took."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasproxy.checks import Flag, Optional, Whole, checked
from nasproxy.data import Dataset, whitening
from nasproxy.data.dataset import Labels, Subset
from nasproxy.data.whitening import REGULARISER
from nasproxy.errors import SettingError
from nasproxy.kernels import Flipped
from nasproxy.machine import peak_memory
from nasproxy.solvers import ConjugateGradient, ConjugateGradientClassifier, EigenProClassifier
from nasproxy.solvers import sweep as ridge_sweep
from nasproxy.solvers.estimator import Classifier, Regressor
from nasproxy.tiles import Tiles

_log = logging.getLogger(__name__)

BLOWN = 10
"""Times the error of predicting 0, from which on predictions are said to be none."""


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
    solver: Classifier,
    *,
    n_train: int | None = None,
    n_valid: int | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    whiten: float | None = None,
    flip: bool = False,
    progress: bool = True,
) -> Report:
    """Fits a kernel machine to training images and measures it on validation images.

    Args:
        data: images, standardised per channel.
        solver: of which kernel, and not fitted yet; it is afterwards.
        n_train, n_valid: images of class-balanced subsets; None for the whole split.
        seed: of the subsets.
        checkpoint: as for :meth:`EigenPro.fit`; conjugate gradients have one, too.
        whiten: ε of :mod:`nasproxy.data.whitening`, fitted to the training images and their mirror
            images; None for images as they are.
        flip: fit the training images' mirror images, too: :class:`nasproxy.kernels.Flipped`.
        progress: show a progress bar.

    Raises:
        DataError: more images than there are.
        SettingError, DivergedError: as the solver's ``fit``.
    """
    for name, value, rule in (
        ("n_train", n_train, Optional(Whole())),
        ("n_valid", n_valid, Optional(Whole())),
        ("seed", seed, Whole(0)),
        ("whiten", whiten, Optional(REGULARISER)),
        ("flip", flip, Flag()),
    ):
        checked("a fit", name, value, rule)
    train, labels = subset(data, "train", n_train, seed)
    valid, valid_labels = subset(data, "valid", n_valid, seed)  # Refused, if so, before the work.
    iterative = isinstance(solver, EigenProClassifier | ConjugateGradientClassifier)
    if checkpoint is not None and not iterative:
        raise SettingError("a checkpoint is for solvers eigenpro and cg: others begin anew")
    options: dict[str, Any] = {}
    if iterative:
        options = {"checkpoint": checkpoint, "progress": progress}
    images, valid_images = train[:], valid[:]
    if whiten is not None:
        fitted_map = whitening.fit_whitening(images, whiten)
        images = whitening.whiten(images, fitted_map)
        valid_images = whitening.whiten(valid_images, fitted_map)
    if flip:
        own: Any = solver
        own.set_params(kernel=Flipped(own.kernel))
    start = time.perf_counter()
    fitted: Any = solver.fit(images, labels, **options)
    seconds = time.perf_counter() - start
    last: dict[str, float] = getattr(fitted, "history_", [{}])[-1]
    return Report(
        len(labels),
        len(valid_labels),
        fitted.score(images, labels),
        fitted.score(valid_images, valid_labels),
        last.get("loss"),
        int(last.get("epoch", 0)),
        # EigenPro's rows say what a measurement came after, and a step comes after it.
        int(last["iteration"]) + isinstance(solver, EigenProClassifier) if last else 0,
        getattr(fitted, "stopped_", "solved"),
        seconds,
        peak_memory(),
    )


@dataclass(frozen=True)
class TilesReport:
    """What came out of a fit of stored tiles with one ridge.

    Attributes:
        ridge: it.
        valid_accuracy: share of the validation points classified rightly; None of targets that are
            no classes.
        valid_error: mean squared error of the targets there.
        residual: the largest of all right-hand sides, relative, in float64; None of direct solves.
        iterations: made for all ridges together.
        stopped: why it ended.
        seconds: of the fit of all ridges together.
        peak_memory: GiB, of the whole process.
    """

    ridge: float
    valid_accuracy: float | None
    valid_error: float | None
    residual: float | None
    iterations: int
    stopped: str
    seconds: float
    peak_memory: float


def fit_tiles(
    tiles: Tiles,
    model: Regressor,
    ridges: Sequence[float],
    *,
    checkpoint: Path | None = None,
    patience: int | None = None,
    progress: bool = True,
) -> list[TilesReport]:
    """Fits a kernel machine to stored tiles and their targets, for several ridges.

    Whole numbers ``[n]`` are classes: they are fitted as one-hot labels minus 1/classes.

    Args:
        tiles: all of them made, with targets.
        model: whose kernel is the tiles.
        ridges: conjugate gradients solve them together, other solvers one after the other.
        checkpoint: as for :class:`ConjugateGradient`, the only one that has it.
        patience: end conjugate gradients when the validation error has not fallen for so many
            iterations; None to go by the residual.
        progress: show a bar.

    Raises:
        SettingError: there are no targets, tiles are missing, or the solver has no such option.
        StoreError: a tile is damaged; names it.
    """
    if tiles.targets is None:
        raise SettingError(f"{tiles.folder} holds no targets: give Tiles.create y and y_valid")
    missing = next(tiles.missing(), None)
    if missing is not None:
        there, wanted, _ = tiles.status()
        raise SettingError(
            f"{tiles.folder} holds {there:,} of {wanted:,} tiles: `nasproxy kernel compute` goes on"
        )
    y, names = _encoded(tiles.targets)
    wanted_valid = tiles.valid_targets
    start, options = time.perf_counter(), {}
    if isinstance(model, ConjugateGradient):
        if patience is not None:
            if wanted_valid is None:
                raise SettingError("there are no validation targets to stop by: leave it out")
            options = {
                "validation": (tiles.valid, _encoded(wanted_valid, names)[0]),
                "patience": patience,
            }
        found = ridge_sweep(
            model, tiles.train, y, ridges, checkpoint=checkpoint, progress=progress, **options
        )
        seconds = time.perf_counter() - start
        predicted = found.predict(tiles.valid) if wanted_valid is not None else [None] * len(ridges)
        told = [
            (values, float(residuals.max()), len(found.solutions.history), stopped)
            for values, residuals, stopped in zip(
                predicted, found.solutions.residuals, found.solutions.stopped, strict=True
            )
        ]
    else:
        if checkpoint is not None or patience is not None:
            raise SettingError("a checkpoint, and to stop by validation, are for solver cg")
        told = []
        for ridge in ridges:
            one: Any = model
            one.set_params(ridge=ridge).fit(tiles.train, y)
            values = one.predict(tiles.valid) if wanted_valid is not None else None
            told.append((values, None, 0, "solved"))
        seconds = time.perf_counter() - start
    reports = [
        TilesReport(
            ridge,
            *_judged(values, wanted_valid, names),
            residual,
            iterations,
            stopped,
            seconds,
            peak_memory(),
        )
        for ridge, (values, residual, iterations, stopped) in zip(ridges, told, strict=True)
    ]
    if wanted_valid is not None:
        _warn_of_blown(reports, float(np.square(_encoded(wanted_valid, names)[0]).mean()))
    return reports


def _warn_of_blown(reports: Sequence[TilesReport], of_nothing: float) -> None:
    """Says where predictions are far worse than 0 everywhere, as approximations' can be."""
    for report in reports:
        if report.valid_error is not None and report.valid_error > BLOWN * of_nothing:
            _log.warning(
                "ridge %g: predictions err %.3g times as much as 0 everywhere would, so what was "
                "solved has blown up; give a larger ridge, or a larger rank",
                report.ridge,
                report.valid_error / of_nothing,
            )


def _encoded(
    targets: NDArray[Any], names: NDArray[Any] | None = None
) -> tuple[NDArray[np.float64], NDArray[Any] | None]:
    """Targets ``[n, c]``, and the classes' numbers if they are classes."""
    if targets.ndim > 1 or targets.dtype.kind not in "iu":
        return targets.reshape(len(targets), -1).astype(np.float64), None
    if names is None:
        names = np.unique(targets)
    return (targets[:, None] == names) - 1 / len(names), names


def _judged(
    values: NDArray[np.float64] | None, wanted: NDArray[Any] | None, names: NDArray[Any] | None
) -> tuple[float | None, float | None]:
    """Accuracy and mean squared error."""
    if values is None or wanted is None:
        return None, None
    error = float(np.square(values - _encoded(wanted, names)[0]).mean())
    if names is None:
        return None, error
    return float((names[values.argmax(1)] == wanted).mean()), error


def subset(data: Dataset, split: str, n: int | None, seed: int) -> tuple[Subset, Labels]:
    """Class-balanced images of a split and their labels; of no ``n``, all of them, shuffled."""
    if n is not None:
        return data.select(split, n, seed)
    labels: Labels = getattr(data, f"{split}_labels")
    return data.select(split, len(labels), seed, balanced=False)
