"""Kernels of convolutional networks of infinite width: CNN-Vec and Myrtle.

Recursions as in Novak et al. 2019 (NNGP) and Arora et al. 2019 (NTK). A pixel pair (p, p + d)
meets only pairs of its own offset d until images are pooled, so each offset is a plane that goes
through the layers alone: :mod:`.planes` has all planes in XLA, :mod:`.native` one by one in Numba.
"""

from nasproxy.kernels.convolutional.networks import CNNVec, Myrtle

__all__ = ["CNNVec", "Myrtle"]
