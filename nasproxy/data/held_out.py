"""Validation images drawn out of a training split."""

import numpy as np
from jaxtyping import Bool, Int, Real

from nasproxy.data.dataset import Images, Labels
from nasproxy.data.lazy import LazyImages
from nasproxy.errors import DataError


def take(
    images: Images, chosen: Int[np.ndarray, " m"] | Bool[np.ndarray, " k"]
) -> Real[np.ndarray, "_ h w c"] | LazyImages:
    """Some of the images; lazy ones stay lazy."""
    return images.take(chosen) if isinstance(images, LazyImages) else images[chosen]


def hold_out(labels: Labels, classes: int, seed: int, fraction: float) -> Bool[np.ndarray, " n"]:
    """A mask [N] of that fraction of every class, drawn by ``seed``."""
    rng = np.random.default_rng(seed)
    held_out = np.zeros(len(labels), dtype=np.bool_)
    for label in range(classes):
        members = rng.permutation(np.flatnonzero(labels == label))
        held_out[members[: round(fraction * len(members))]] = True
    if held_out.all() or not held_out.any():
        raise DataError(
            f"valid_fraction={fraction:g} of {len(labels)} training images, class by class, leaves"
            " nothing to train or nothing to validate on: bring it nearer to 0.5"
        )
    return held_out
