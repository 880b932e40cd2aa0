"""How well a score ranks architectures: pure functions of arrays, the score and the truth.

Scores of few distinct values are the rule (an NNGP accuracy is k / n_v), so every metric says what
ties do to it. What is undefined (a constant array, a single class) is NaN, without a warning; what
is wrong (NaN, infinite, unequal lengths) raises ``MetricError``. Signs are kept: a score that ranks
backwards has a negative correlation and an AUROC below one half.

The set is that of Park et al., "Towards NNGP-guided Neural Architecture Search" (2020), 2.2, and
what tells how much of it to believe: baselines, another score, the truth's own noise, seeds.
"""

from nasproxy.metrics.arrays import MetricError
from nasproxy.metrics.baselines import (
    GivenTau,
    group_pairs,
    partial_kendall,
    partial_spearman,
    tau_given,
    tau_within,
)
from nasproxy.metrics.correlation import kendall_tau, pearson, spearman
from nasproxy.metrics.discovery import (
    N_SUBSETS,
    DiscoveredPerformance,
    discovered_performance,
    disjoint_parts,
)
from nasproxy.metrics.exceedance import pqetp, pqetp_curve
from nasproxy.metrics.hybrids import cross_fitted, rank_mean
from nasproxy.metrics.noise import NoiseCorrected, noise_corrected
from nasproxy.metrics.pareto import pareto_front
from nasproxy.metrics.reduction import Reduction, search_space_reduction
from nasproxy.metrics.resampling import (
    Estimate,
    Interval,
    bootstrap,
    over_seeds,
    paired_gain,
    share_of_ceiling,
)
from nasproxy.metrics.reward import mnas_reward

__all__ = [
    "N_SUBSETS",
    "DiscoveredPerformance",
    "Estimate",
    "GivenTau",
    "Interval",
    "MetricError",
    "NoiseCorrected",
    "Reduction",
    "bootstrap",
    "cross_fitted",
    "discovered_performance",
    "disjoint_parts",
    "group_pairs",
    "kendall_tau",
    "mnas_reward",
    "noise_corrected",
    "over_seeds",
    "paired_gain",
    "pareto_front",
    "partial_kendall",
    "partial_spearman",
    "pearson",
    "pqetp",
    "pqetp_curve",
    "rank_mean",
    "search_space_reduction",
    "share_of_ceiling",
    "spearman",
    "tau_given",
    "tau_within",
]
