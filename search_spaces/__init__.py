"""Search spaces: what can be searched. They know nothing of proxies."""

from search_spaces.base import SearchSpace
from search_spaces.fully_connected import FullyConnectedNetworks
from search_spaces.nasbench101 import NASBench101

SPACES: dict[str, type] = {space.name: space for space in (NASBench101, FullyConnectedNetworks)}
"""Every space by name; a new one is added here."""

__all__ = ["SPACES", "FullyConnectedNetworks", "NASBench101", "SearchSpace"]
