"""Kernels of neural networks."""

from nasproxy.compilation import configure
from nasproxy.kernels.convolutional import CNNVec, Myrtle
from nasproxy.kernels.flipped import Flipped
from nasproxy.kernels.fully_connected import FullyConnected, Kernels, fully_connected
from nasproxy.kernels.stax import stax

configure()

__all__ = ["CNNVec", "Flipped", "FullyConnected", "Kernels", "Myrtle", "fully_connected", "stax"]
