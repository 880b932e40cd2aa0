"""How well a score would rank if the truth had no noise of its own."""

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nasproxy.errors import SettingError
from nasproxy.metrics.arrays import MetricError, Vector, of_seeds, vectors
from nasproxy.metrics.correlation import kendall_tau, pearson, spearman

STATISTICS: dict[str, Callable[[Vector, Vector], float]] = {
    "pearson": pearson,
    "spearman": spearman,
    "kendall": kendall_tau,
}


class NoiseCorrected(NamedTuple):
    """A correlation with the mean of repeated trainings, and with what they are repeats of.

    Attributes:
        observed: with the mean of the trainings.
        reliability: correlation of that mean with the mean of as many further trainings.
        corrected: with the expectation over trainings.
    """

    observed: float
    reliability: float
    corrected: float


def noise_corrected(
    score: ArrayLike, trainings: ArrayLike, *, statistic: str = "pearson"
) -> NoiseCorrected:
    """Correlation corrected for the attenuation by the truth's own noise.

    A truth of few trainings correlates less with anything than the architecture's expected
    accuracy does. With r̄ the mean correlation between two of R trainings, their mean has the
    reliability R r̄ / (1 + (R − 1) r̄) (Spearman–Brown), and r / √reliability is the correlation with
    the expectation. The score's noise stays: it is the score's fault. Cut at ±1, beyond which
    chance may carry the estimate; holds where the noise of trainings is independent of the score
    and alike for all architectures.

    Args:
        score: (n,).
        trainings: (R, n), R ≥ 2 trainings of each architecture.
        statistic: ``pearson``; ``spearman``, the same of ranks; or ``kendall``, whose τ is taken
            for that of a bivariate normal, sin(πτ/2) = r (Greiner), corrected there and turned
            back.

    Returns:
        NaN for ``reliability`` and ``corrected`` where the trainings do not agree at all.

    Raises:
        MetricError: bad arrays, or a single training.
        SettingError: another statistic.

    Spearman, "The proof and measurement of association between two things" (1904).
    """
    if statistic not in STATISTICS:
        raise SettingError(f"statistic={statistic!r}: give {', '.join(STATISTICS)}")
    (repeats,), (score,) = of_seeds({"trainings": trainings}, score=score)
    if len(repeats) < 2:
        raise MetricError(
            "trainings has one training an architecture, which shows no noise; pass (R, n) with "
            "R of at least 2"
        )
    measure = STATISTICS[statistic]

    def linear(tau: float) -> float:
        return float(np.sin(np.pi / 2 * tau)) if statistic == "kendall" else tau

    observed = measure(score, repeats.mean(0))
    agreement = float(
        np.mean([linear(measure(*vectors(a=a, b=b))) for a, b in combinations(repeats, 2)])
    )
    if not agreement > 0:
        return NoiseCorrected(observed, float("nan"), float("nan"))
    count = len(repeats)
    reliability = count * agreement / (1 + (count - 1) * agreement)
    corrected = float(np.clip(linear(observed) / np.sqrt(reliability), -1.0, 1.0))
    if statistic == "kendall":
        corrected = float(2 / np.pi * np.arcsin(corrected))
        reliability = float(2 / np.pi * np.arcsin(min(reliability, 1.0)))
    return NoiseCorrected(observed, reliability, corrected)
