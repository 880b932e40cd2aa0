"""Solvers of kernel systems: conjugate gradients, approximations, preconditioners, precision."""

from nasproxy_experiments.kernel_solvers.study import prepare

PAPER = "Kernel Regression with Infinite-Width Neural Networks on Millions of Examples, its solvers"
EXPERIMENTS = ("approximations", "nystrom", "preconditioners", "residual", "precision", "cost")
CLAIMS = ("claims",)

__all__ = ["CLAIMS", "EXPERIMENTS", "PAPER", "prepare"]
