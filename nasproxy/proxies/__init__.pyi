from .az_nas import Expressivity, Progressivity, Trainability
from .base import Proxy, Score, Scorer
from .counts import Counts
from .empirical_ntk import NTK
from .epe_nas import EPENAS
from .fisher import Fisher
from .grad_norm import GradNorm
from .grasp import GraSP
from .infinite_width import InfiniteWidth
from .jacov import Jacov
from .l2_norm import L2Norm
from .latency import Latency
from .nngp import NNGP
from .ntk_condition import NTKCondition
from .nwot import NWOT
from .plain import Plain
from .size import Flops, Macs, Params
from .snip import Snip
from .synflow import LogSynFlow, SynFlow
from .training import Training
from .zen import Zen
from .zico import ZiCo

__all__ = [
    "EPENAS",
    "NNGP",
    "NTK",
    "NWOT",
    "Counts",
    "Expressivity",
    "Fisher",
    "Flops",
    "GraSP",
    "GradNorm",
    "InfiniteWidth",
    "Jacov",
    "L2Norm",
    "Latency",
    "LogSynFlow",
    "Macs",
    "NTKCondition",
    "Params",
    "Plain",
    "Progressivity",
    "Proxy",
    "Score",
    "Scorer",
    "Snip",
    "SynFlow",
    "Trainability",
    "Training",
    "Zen",
    "ZiCo",
]
