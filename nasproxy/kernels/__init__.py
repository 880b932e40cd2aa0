"""Kernels of neural networks."""

from nasproxy.kernels.fully_connected import FullyConnected, fully_connected

__all__ = ["FullyConnected", "fully_connected"]
