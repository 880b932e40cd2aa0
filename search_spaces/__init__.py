"""Search spaces: what can be searched. They know nothing of proxies."""

from search_spaces.base import SearchSpace
from search_spaces.fully_connected import FullyConnectedNetworks
from search_spaces.mnas import MNAS, AccelNASBench
from search_spaces.nasbench101 import NASBench101
from search_spaces.nasbench201 import NASBench201
from search_spaces.nasbench_macro import NASBenchMacro

SPACES: dict[str, type] = {
    space.name: space
    for space in (
        NASBench101,
        NASBench201,
        NASBenchMacro,
        MNAS,
        AccelNASBench,
        FullyConnectedNetworks,
    )
}
"""Every space by name; a new one is added here."""

__all__ = [
    "MNAS",
    "SPACES",
    "AccelNASBench",
    "FullyConnectedNetworks",
    "NASBench101",
    "NASBench201",
    "NASBenchMacro",
    "SearchSpace",
]
