from .base import Proxy, Score, Scorer
from .counts import Counts
from .empirical_ntk import NTK
from .infinite_width import InfiniteWidth
from .latency import Latency
from .nngp import NNGP
from .size import Flops, Macs, Params
from .training import Training

__all__ = [
    "NNGP",
    "NTK",
    "Counts",
    "Flops",
    "InfiniteWidth",
    "Latency",
    "Macs",
    "Params",
    "Proxy",
    "Score",
    "Scorer",
    "Training",
]
