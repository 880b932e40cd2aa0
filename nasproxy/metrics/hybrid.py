"""Several scores as one: a linear fit to labels that it is not judged by, or none at all."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike
from scipy import stats

from nasproxy.errors import SettingError
from nasproxy.metrics.checked import MetricError, Vector, vectors, whole

RIDGES = np.logspace(-3, 4, 15)
"""Regularisers that a fit chooses from, on standardised scores."""


class LinearMetric(NamedTuple):
    """A linear combination of scores, ``(columns − mean) / scale @ weights``.

    Attributes:
        mean, scale, weights: ``[k]``.
    """

    mean: Vector
    scale: Vector
    weights: Vector

    def __call__(self, columns: ArrayLike) -> Vector:
        """The metric of scores ``[n, k]``, ``[n]``."""
        return (_table(columns) - self.mean) / self.scale @ self.weights


def linear_metric(columns: ArrayLike, labels: ArrayLike) -> LinearMetric:
    """Ridge regression of labels on standardised scores, its ridge by leave-one-out.

    Judge it on other architectures than these, or use :func:`cross_fitted`.

    Args:
        columns: scores, ``[n, k]``; a constant one has no weight.
        labels: what is fitted to, such as accuracy after shortened training, ``[n]``.

    Raises:
        MetricError: bad arrays.

    Park et al. (2020), 3.6.
    """
    from sklearn.linear_model import RidgeCV

    table = _table(columns)
    (target,) = vectors(labels=labels)
    if len(target) != len(table):
        raise MetricError(f"{len(table)} rows of scores and {len(target)} labels: give as many")
    mean, spread = table.mean(0), table.std(0)
    scale = np.where(spread > 0, spread, 1.0)
    fit = RidgeCV(RIDGES).fit((table - mean) / scale, target)
    return LinearMetric(mean, scale, np.asarray(fit.coef_, np.float64))


def cross_fitted(columns: ArrayLike, labels: ArrayLike, *, folds: int = 5, seed: int = 0) -> Vector:
    """Each architecture's value by a fit to the labels of the others, ``[n]``.

    Architectures are cut into parts at random, and each part is scored by a fit to the rest.

    Args:
        columns, labels: as for :func:`linear_metric`.
        folds: parts, at least 2.
        seed: of the cut.
    """
    table = _table(columns)
    (target,) = vectors(labels=labels)
    if len(target) != len(table):
        raise MetricError(f"{len(table)} rows of scores and {len(target)} labels: give as many")
    if whole("folds", folds, 2) > len(table) // 2:
        raise SettingError(f"folds={folds} of {len(table)} architectures: give two a part or more")
    values = np.empty(len(table))
    for part in np.array_split(np.random.default_rng(seed).permutation(len(table)), folds):
        rest = np.setdiff1d(np.arange(len(table)), part)
        values[part] = linear_metric(table[rest], target[rest])(table[part])
    return values


def rank_mean(columns: ArrayLike) -> Vector:
    """Mean rank over scores ``[n, k]``, ties at their mean: a hybrid that needs no labels."""
    return np.mean([stats.rankdata(column) for column in _table(columns).T], axis=0)


def _table(columns: ArrayLike) -> Float64[np.ndarray, "n k"]:
    table = np.asarray(columns)
    if table.ndim != 2 or not table.shape[1]:
        raise MetricError(f"scores have the shape {list(table.shape)}: give [n, k], k at least 1")
    return np.column_stack(vectors(**{f"score {i}": c for i, c in enumerate(table.T)}))
