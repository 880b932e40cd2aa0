"""Figures and table of "Approximate Architecture Evaluation with Accelerated Kernel Methods"."""

from nasproxy_experiments.fc_ntk.study import prepare

PAPER = "Approximate Architecture Evaluation with Accelerated Kernel Methods (Bordelon)"
EXPERIMENTS = ("spectrum", "depth", "finite_networks", "accuracy")

__all__ = ["EXPERIMENTS", "PAPER", "prepare"]
