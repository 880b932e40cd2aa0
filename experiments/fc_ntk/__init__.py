"""Figures and table of "Approximate Architecture Evaluation with Accelerated Kernel Methods"."""

from experiments.fc_ntk.study import prepare

EXPERIMENTS = ("spectrum", "depth", "finite_networks", "accuracy")

__all__ = ["EXPERIMENTS", "prepare"]
