"""Score neural architectures without training them, and say honestly how good the signal is."""

from nasproxy import data, metrics
from nasproxy.compilation import configure
from nasproxy.proxies import NNGP, NTK, Flops, Latency, Macs, Params, Training
from nasproxy.scoring import score
from nasproxy.store import Store

__all__ = [
    "NNGP",
    "NTK",
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

configure()
