"""Proxies: cheap functions of an architecture that should rank as training would."""

from nasproxy.proxies.base import Proxy, Score, Scorer, make, parse_settings
from nasproxy.proxies.latency import Latency
from nasproxy.proxies.nngp import NNGP
from nasproxy.proxies.ntk import NTK
from nasproxy.proxies.ntk_regression import NTKRegression
from nasproxy.proxies.size import Flops, Macs, Params
from nasproxy.proxies.training import Training

PROXIES: dict[str, type] = {
    proxy.name: proxy
    for proxy in (NNGP, NTK, NTKRegression, Params, Flops, Macs, Latency, Training)
}
"""Every proxy by name; a new one is added here."""

__all__ = [
    "NNGP",
    "NTK",
    "PROXIES",
    "Flops",
    "Latency",
    "Macs",
    "NTKRegression",
    "Params",
    "Proxy",
    "Score",
    "Scorer",
    "Training",
    "make",
    "parse_settings",
]
