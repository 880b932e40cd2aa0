"""Images whose pixels are means of blocks: a quarter of the work for a data set's same content."""

from dataclasses import replace

from nasproxy.data.dataset import Dataset, Images
from nasproxy.data.lazy import LazyImages, block_means
from nasproxy.errors import DataError


def pooled(dataset: Dataset, side: int) -> Dataset:
    """The set with each pixel the mean of ``side`` × ``side`` pixels, float32, in the same units.

    It is standardised by the constants of the full images.

    Raises:
        DataError: images whose height or width is no multiple of ``side``.
    """
    height, width, _ = dataset.image_shape
    if height % side or width % side:
        raise DataError(
            f"pool={side} of {dataset.name}: its images are {height}×{width}, give a number that "
            "divides both"
        )
    splits = {
        name: None if images is None else _pooled(images, side)
        for name in ("train_images", "valid_images", "test_images")
        for images in [getattr(dataset, name)]
    }
    return replace(dataset, **splits)  # type: ignore[arg-type]  # by the splits' names


def _pooled(images: Images, side: int) -> Images:
    return images.pooled(side) if isinstance(images, LazyImages) else block_means(images, side)
