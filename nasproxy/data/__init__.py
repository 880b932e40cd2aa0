"""Data to score on: a name, a path or arrays in, a Dataset with nested balanced subsets out."""

from nasproxy.data.arrays import from_arrays
from nasproxy.data.dataset import Dataset
from nasproxy.data.loading import available, load

__all__ = ["Dataset", "available", "from_arrays", "load"]
