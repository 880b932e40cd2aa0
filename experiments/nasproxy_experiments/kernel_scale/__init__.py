"""Claims of "Kernel regression with infinite-width neural networks on millions of examples"."""

from nasproxy_experiments.kernel_scale.study import prepare

PAPER = (
    "Kernel regression with infinite-width neural networks on millions of examples (Adlam et al.)"
)
EXPERIMENTS = ("order", "whitening", "cost", "finite_width")
CLAIMS = ("claims",)

__all__ = ["CLAIMS", "EXPERIMENTS", "PAPER", "prepare"]
