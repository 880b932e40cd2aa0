"""Batches of images that passes run on, made once for all architectures."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from nasproxy.data import Dataset
from nasproxy.training import augment

DATA, NORMAL, ONES = SOURCES = ("data", "normal", "ones")
"""Images of a pass: training images, unit normals, or ones."""


@dataclass(frozen=True)
class Batch:
    """Images of a pass: the ``number``-th ``size`` of an order that the seed draws.

    To them ``shift`` times unit normals are added.
    """

    source: str
    size: int
    number: int = 0
    balanced: bool = True
    augment: bool = False
    shift: float = 0.0


class Images:
    """Batches of one data set at a seed, made once."""

    def __init__(self, data: Dataset, seed: int):
        self._data, self.seed = data, seed
        self._made: dict[tuple[Batch, bool], tuple[jax.Array, Int[np.ndarray, " n"]]] = {}

    def labels(self, batch: Batch) -> Int[np.ndarray, " n"]:
        """Of a batch; 0 where images are made up."""
        if batch.source != DATA:
            return np.zeros(batch.size, np.int32)
        return self._chosen(batch)[1]

    def batch(self, batch: Batch, double: bool = False) -> tuple[jax.Array, Int[np.ndarray, " n"]]:
        """Images ``[n, h, w, c]`` on the device, float64 if ``double``, and labels."""
        key = batch, double
        if key not in self._made:
            made = self._images(batch).astype(np.float64 if double else np.float32)
            self._made[key] = jax.device_put(made), self.labels(batch)
        return self._made[key]

    def _images(self, batch: Batch) -> Float[np.ndarray, "n h w c"]:
        if batch.shift:
            rng = np.random.default_rng((self.seed, batch.number, 3))
            still = self._images(replace(batch, shift=0.0))
            noise = rng.standard_normal(still.shape, dtype=np.float32)
            return still + np.float32(batch.shift) * noise
        shape = (batch.size, *self._data.image_shape)
        if batch.source == ONES:
            return np.ones(shape, np.float32)
        rng = np.random.default_rng((self.seed, batch.number, 1 if batch.source == DATA else 2))
        if batch.source == NORMAL:
            return rng.standard_normal(shape, dtype=np.float32)
        if not batch.augment:
            return self._chosen(batch)[0][:]
        subset = self._chosen(batch)[0]
        ((raw, places),) = subset.parts
        return self._data.standardise(augment(np.asarray(raw[places]), rng))

    def _chosen(self, batch: Batch) -> Any:
        most = (batch.number + 1) * batch.size
        subset, labels = self._data.select("train", most, self.seed, batch.balanced)
        ((raw, places),) = subset.parts
        own = slice(most - batch.size, most)
        return type(subset)(subset.data, ((raw, places[own]),)), labels[own]
