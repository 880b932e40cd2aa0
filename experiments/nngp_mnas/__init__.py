"""The MNAS part of "Towards NNGP-guided Neural Architecture Search", and two more spaces."""

from experiments.nngp_mnas.study import prepare

EXPERIMENTS = ("top_networks", "accel_nasbench", "nasbench_macro", "nasbench201", "what_limits")

__all__ = ["EXPERIMENTS", "prepare"]
