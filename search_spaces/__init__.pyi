from .convolutional import ConvolutionalNetworks
from .fully_connected import FullyConnectedNetworks
from .mnas import MNAS, AccelNASBench
from .nasbench101 import NASBench101
from .nasbench201 import NASBench201
from .nasbench301 import NASBench301
from .nasbench_macro import NASBenchMacro

__all__ = [
    "MNAS",
    "AccelNASBench",
    "ConvolutionalNetworks",
    "FullyConnectedNetworks",
    "NASBench101",
    "NASBench201",
    "NASBench301",
    "NASBenchMacro",
]
