"""Every figure of "Towards NNGP-guided Neural Architecture Search" on NAS-Bench-101."""

from nasproxy_experiments.nngp_nas.study import prepare

PAPER = "Towards NNGP-guided Neural Architecture Search (Park et al. 2020), NAS-Bench-101"
EXPERIMENTS = (
    "kendall_vs_cost",
    "threshold_exceedance",
    "discovered_performance",
    "linear_networks",
    "ntk_against_nngp",
    "network_size",
    "small_networks",
    "search_space_reduction",
    "hybrid",
    "hybrid_sizes",
    "batch_norm_momentum",
    "raw_scores",
    "reduced_width",
    "one_at_a_time",
    "whole_table",
)
CLAIMS = ("claims", "claims_of_space")

__all__ = ["CLAIMS", "EXPERIMENTS", "PAPER", "prepare"]
