"""Claims of Park et al. 2020 at the paper's own size of kernel, for an accelerator."""

from nasproxy_experiments.nngp_nas_large.study import prepare

PAPER = "Park et al. 2020 at n_t 8,000 and width 128, NAS-Bench-101; for a GPU"
EXPERIMENTS = ("at_paper_size",)
CLAIMS = ("claims",)

__all__ = ["CLAIMS", "EXPERIMENTS", "PAPER", "prepare"]
