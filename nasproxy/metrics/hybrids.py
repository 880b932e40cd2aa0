"""Several measures as one score: their mean rank, and a linear fit judged on other labels."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from nasproxy.errors import SettingError
from nasproxy.metrics.arrays import MetricError, Vector, columns, vectors, whole


def rank_mean(features: ArrayLike) -> Vector:
    """Mean over columns of each architecture's rank, from 1 for the worst; ties share theirs.

    No label is used, so nothing is fitted to what it is judged on.

    Args:
        features: (n, k), larger means better in each.

    Returns:
        (n,).

    Raises:
        MetricError: bad arrays.
    """
    return np.column_stack([stats.rankdata(column) for column in _features(features).T]).mean(1)


def cross_fitted(
    features: ArrayLike, target: ArrayLike, *, folds: int = 5, seed: int = 0
) -> Vector:
    """A linear model's score of each architecture, fitted to the labels of other folds only.

    The architectures are parted at random; those of a part are scored by least squares on
    standardised features, fitted to the target of all other parts. No label is judged by a model
    that saw it, even where the target is the truth itself. Scores leave out the intercept: it is
    the mean of the other parts' labels, which is the lower the higher one's own are, and would make
    useless features rank backwards.

    Args:
        features: (n, k); standardised over all n, which uses no label. One that is constant has no
            say; of those that repeat each other the weight is shared.
        target: (n,), what is fitted: a cheap truth, as accuracy after 12 epochs.
        folds: parts, from 2 to n.
        seed: which part an architecture is in.

    Returns:
        (n,), centred, in the target's units.

    Raises:
        MetricError: bad arrays.
        SettingError: a setting out of its range.

    Stone, "Cross-validatory choice and assessment of statistical predictions" (1974).
    """
    matrix = _features(features)
    n = len(matrix)
    if np.shape(target) != (n,):
        raise MetricError(
            f"target has shape {np.shape(target)}; pass one number for each of the {n} "
            "architectures of features"
        )
    (target,) = vectors(target=target)
    folds = whole("folds", folds, 2, n)
    rng = np.random.default_rng(whole("seed", seed, 0))
    if n - -(-n // folds) <= matrix.shape[1]:
        raise SettingError(
            f"folds={folds} leaves {n - -(-n // folds)} of {n} architectures for a fit of "
            f"{matrix.shape[1]} features: give more architectures or fewer features"
        )
    deviation = matrix.std(0)
    design = (matrix - matrix.mean(0)) / np.where(deviation > 0, deviation, 1.0)
    fold = rng.permutation(n) % folds
    predicted = np.empty(n)
    for k in range(folds):
        seen = fold != k
        centred = design[seen] - design[seen].mean(0)
        weights, *_ = np.linalg.lstsq(centred, target[seen] - target[seen].mean(), rcond=None)
        predicted[~seen] = design[~seen] @ weights
    return predicted


def _features(features: ArrayLike) -> Vector:
    raw = np.asarray(features)
    if raw.ndim != 2 or len(raw) < 2:
        raise MetricError(
            f"features has shape {raw.shape}; pass a row an architecture and a column a measure"
        )
    return columns("features", raw, len(raw))
