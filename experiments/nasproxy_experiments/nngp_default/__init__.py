"""Which sizes and which measure of the NNGP rank best for their price."""

from nasproxy_experiments.nngp_default.study import prepare

PAPER = "The default of nngp by experiment, NAS-Bench-101 on CIFAR-10"
EXPERIMENTS = ("measures", "parts", "equal_rank")
CLAIMS = ("claims",)

__all__ = ["CLAIMS", "EXPERIMENTS", "PAPER", "prepare"]
