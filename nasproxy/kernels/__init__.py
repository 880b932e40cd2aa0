"""Kernels of neural networks."""

from nasproxy.compilation import configure
from nasproxy.kernels.fully_connected import FullyConnected, fully_connected

configure()

__all__ = ["FullyConnected", "fully_connected"]
