"""Images as a notebook shows them."""

import base64
import io

import numpy as np
from jaxtyping import Integer, Real, UInt8
from PIL import Image

MOST = 10
"""Classes of which an image is shown."""
_SIDE = 48  # pixels of an image on the page


def strip(images: Real[np.ndarray, "n h w c"], labels: Integer[np.ndarray, " n"]) -> str:
    """Images beside each other as HTML that holds them; nothing of other than 1 or 3 channels."""
    if images.shape[-1] not in (1, 3):
        return ""
    shown = []
    for image, label in zip(as_pixels(images), labels.tolist(), strict=True):
        file = io.BytesIO()
        Image.fromarray(image[:, :, 0] if image.shape[-1] == 1 else image).save(file, "png")
        text = base64.b64encode(file.getvalue()).decode()
        shown.append(
            f'<img alt="class {label}" title="class {label}" height="{_SIDE}" '
            f'style="image-rendering:pixelated;height:{_SIDE}px;margin:2px;display:inline" '
            f'src="data:image/png;base64,{text}">'
        )
    return "".join(shown)


def as_pixels(images: Real[np.ndarray, "n h w c"]) -> UInt8[np.ndarray, "n h w c"]:
    """Images as bytes: as they are, or brought from the range of all of them to 0..255.

    Bytes are so too where none is over half: the digits' go to 16.
    """
    if images.dtype == np.uint8 and images.max(initial=0) > 127:
        return images
    low, high = float(images.min()), float(images.max())
    scaled = (images - low) / (high - low) if high > low else np.zeros_like(images)
    return np.round(255 * scaled).astype(np.uint8)
