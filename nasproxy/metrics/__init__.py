"""How well a score ranks architectures: pure functions of two arrays, the score and the truth.

Scores of few distinct values are the rule (an NNGP accuracy is k / n_v), so every metric says what
ties do to it. What is undefined (a constant array, a single class) is NaN, without a warning; what
is wrong (NaN, infinite, unequal lengths) raises ``MetricError``. Signs are kept: a score that ranks
backwards has a negative correlation and an AUROC below one half.

The set is that of Park et al., "Towards NNGP-guided Neural Architecture Search" (2020), 2.2.
"""

from nasproxy.metrics.checked import MetricError
from nasproxy.metrics.correlation import (
    Given,
    kendall_tau,
    kendall_tau_given,
    noise_corrected_pearson,
    partial_kendall_tau,
    pearson,
    reliability,
    spearman,
)
from nasproxy.metrics.exceedance import pqetp, pqetp_curve
from nasproxy.metrics.hybrid import LinearMetric, cross_fitted, linear_metric, rank_mean
from nasproxy.metrics.resampling import Estimate, Interval, bootstrap, over_seeds, paired_gain
from nasproxy.metrics.reward import mnas_reward
from nasproxy.metrics.selection import (
    N_SUBSETS,
    DiscoveredPerformance,
    discovered_performance,
    search_space_reduction,
)

__all__ = [
    "N_SUBSETS",
    "DiscoveredPerformance",
    "Estimate",
    "Given",
    "Interval",
    "LinearMetric",
    "MetricError",
    "bootstrap",
    "cross_fitted",
    "discovered_performance",
    "kendall_tau",
    "kendall_tau_given",
    "linear_metric",
    "mnas_reward",
    "noise_corrected_pearson",
    "over_seeds",
    "paired_gain",
    "partial_kendall_tau",
    "pearson",
    "pqetp",
    "pqetp_curve",
    "rank_mean",
    "reliability",
    "search_space_reduction",
    "spearman",
]
