"""The MNAS part of "Towards NNGP-guided Neural Architecture Search", and two more spaces."""

from nasproxy_experiments.nngp_mnas.study import prepare

PAPER = "the same paper's MNAS part, on Accel-NASBench, and two more spaces"
EXPERIMENTS = (
    "top_networks",
    "accel_nasbench",
    "nasbench_macro",
    "nasbench201",
    "what_limits",
    "accel_nasbench_by_seeds",
    "nasbench_macro_by_seeds",
    "nasbench201_by_seeds",
)

CLAIMS = ("claims",)

__all__ = ["CLAIMS", "EXPERIMENTS", "PAPER", "prepare"]
