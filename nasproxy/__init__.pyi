from . import data, metrics
from .proxies import NNGP, NTK, Counts, Flops, Latency, Macs, Params, Training
from .scoring import score
from .store import Store

__all__ = [
    "NNGP",
    "NTK",
    "Counts",
    "Flops",
    "Latency",
    "Macs",
    "Params",
    "Store",
    "Training",
    "data",
    "metrics",
    "score",
]

__version__: str
