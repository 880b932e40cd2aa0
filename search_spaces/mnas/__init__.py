"""MNAS (Tan et al. 2019) and the part of it that Accel-NASBench trained."""

from search_spaces.mnas.accel_nasbench import AccelNASBench
from search_spaces.mnas.block import Block, Blocks
from search_spaces.mnas.space import MNAS

__all__ = ["MNAS", "AccelNASBench", "Block", "Blocks"]
