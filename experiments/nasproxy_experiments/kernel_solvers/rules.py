"""How verdicts are reached: paired differences, their intervals, and what these decide."""

import numpy as np
from jaxtyping import Float
from scipy import stats

from nasproxy.errors import DataError
from nasproxy.reproduce.statistics import Estimate

RESAMPLES = 2000
MARGIN = 0.005
"""Difference of accuracies that does not matter: half a point."""


def gain(differences: Float[np.ndarray, "draws images"], comparisons: int = 1) -> Estimate:
    """The mean of differences, and an interval that holds for that many comparisons at once.

    The standard error is a bootstrap's, over draws of training points and over test images at the
    same time; the interval is normal, at 1 − .05/comparisons (Bonferroni). Draws overlap where
    their points come from one pool, so what is between pools is not in it.

    Args:
        differences: one of a draw and image.
        comparisons: that are judged together.

    Raises:
        DataError: there are not two draws, or no images.
    """
    draws, images = differences.shape
    if draws < 2 or not images:
        raise DataError(f"differences {list(differences.shape)}: give two draws at least")
    rng = np.random.default_rng(0)
    over_draws = rng.multinomial(draws, np.full(draws, 1 / draws), RESAMPLES) / draws
    over_images = rng.multinomial(images, np.full(images, 1 / images), RESAMPLES) / images
    resampled = ((over_draws @ differences) * over_images).sum(1)
    half = float(stats.norm.ppf(1 - 0.025 / comparisons) * resampled.std(ddof=1))
    value = float(differences.mean())
    return Estimate(value, value - half, value + half)


def ratio(values: Float[np.ndarray, " draws"], comparisons: int = 1) -> Estimate:
    """Geometric mean of ratios, one a draw, with Student's interval of their logarithms.

    Raises:
        DataError: there are not two, or one is not positive.
    """
    if len(values) < 2 or not (values > 0).all():
        raise DataError(f"ratios {values}: give two at least, all positive")
    logs = np.log(values)
    error = logs.std(ddof=1) / np.sqrt(len(logs))
    half = stats.t.ppf(1 - 0.025 / comparisons, len(logs) - 1) * error
    return Estimate(
        *(float(v) for v in np.exp([logs.mean(), logs.mean() - half, logs.mean() + half]))
    )


def above(found: Estimate, bound: float) -> str:
    """Whether a quantity lies above a bound, by its interval."""
    if np.isnan(found.value):
        return "is undecided"
    return (
        "holds" if found.low > bound else "does not hold" if found.high < bound else "is undecided"
    )


def alike(found: Estimate, margin: float = MARGIN) -> str:
    """Whether a difference is none that matters: its interval within ±margin, or beyond it."""
    if np.isnan(found.value):
        return "is undecided"
    if -margin < found.low and found.high < margin:
        return "holds"
    outside = found.low > margin or found.high < -margin
    return "does not hold" if outside else "is undecided"


def needed(loss: Estimate, margin: float = MARGIN) -> str:
    """Whether something is needed: without it accuracy is lost by more than rounding's share.

    Args:
        loss: accuracy with it minus accuracy without.
        margin: a loss within it is none.
    """
    if np.isnan(loss.value):
        return "is undecided"
    if loss.low > 0 and loss.value > margin:
        return "holds"
    return "does not hold" if loss.high < margin else "is undecided"


def all_of(verdicts: list[str]) -> str:
    """A claim about several cases: holds in all, fails in one, or is open."""
    if "does not hold" in verdicts:
        return "does not hold"
    return "holds" if verdicts and set(verdicts) == {"holds"} else "is undecided"
