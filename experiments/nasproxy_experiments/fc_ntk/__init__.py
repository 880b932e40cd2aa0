"""Figures and table of "Approximate Architecture Evaluation with Accelerated Kernel Methods"."""

from nasproxy_experiments.fc_ntk.study import prepare

PAPER = "Approximate Architecture Evaluation with Accelerated Kernel Methods (Bordelon)"
EXPERIMENTS = (
    "spectrum",
    "preprocessing",
    "modes",
    "fixed_point",
    "depth",
    "timing",
    "memory",
    "finite_networks",
    "paper_steps",
    "accuracy",
)

CLAIMS = ("claims",)

__all__ = ["CLAIMS", "EXPERIMENTS", "PAPER", "prepare"]
