"""NAS-Bench-101 (Ying et al. 2019): cells, their enumeration and sampling, their network."""

from search_spaces.nasbench101.cell import Cell
from search_spaces.nasbench101.space import NASBench101

__all__ = ["Cell", "NASBench101"]
