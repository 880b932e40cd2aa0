from . import data, metrics
from .modules import ModuleSpace
from .proxies import NNGP, NTK, Counts, Flops, Latency, Macs, Params, Training
from .proxies.features import kernel_score
from .scoring import Session, score, score_modules, top
from .store import Store

__all__ = [
    "NNGP",
    "NTK",
    "Counts",
    "Flops",
    "Latency",
    "Macs",
    "ModuleSpace",
    "Params",
    "Session",
    "Store",
    "Training",
    "data",
    "kernel_score",
    "metrics",
    "score",
    "score_modules",
    "top",
]

__version__: str
