"""Smaller images by the means of whole blocks of pixels, lazy ones too."""

import numpy as np
from jaxtyping import Real

from nasproxy.checks import Whole
from nasproxy.data.dataset import Images
from nasproxy.data.lazy import LazyImages, block_means
from nasproxy.errors import SettingError

POOL = Whole(1, 4_096, hint="pixels a side of the blocks that are averaged")
_CHUNK = 1_000  # images that are held in float64 at once


def pooled(images: Images, block: int) -> Real[np.ndarray, "n _ _ c"] | LazyImages:
    """Images [N, H, W, C] of H/block × W/block pixels, float32: each the mean of a block.

    By 1 they are left as they are.

    Raises:
        SettingError: a side that ``block`` does not divide; pixels are neither cut nor made up.
    """
    if block == 1:
        return images
    count, height, width, channels = images.shape
    if height % block or width % block:
        sides = range(2, min(height, width) + 1)
        fitting = [str(s) for s in sides if not (height % s or width % s)]
        cure = f"give {' or '.join(fitting[:6])}" if fitting else "leave it out"
        raise SettingError(
            f"pool={block} of data: images of {height}×{width} pixels have no whole blocks of "
            f"{block}×{block}; {cure}, or bring them to another size by a resolution"
        )
    if isinstance(images, LazyImages):
        return images.pooled(block)
    means = np.empty((count, height // block, width // block, channels), np.float32)
    for start in range(0, count, _CHUNK):
        means[start : start + _CHUNK] = block_means(images[start : start + _CHUNK], block)
    return means
