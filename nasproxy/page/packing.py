"""What a page carries, small: compressed, and as text that no browser takes for anything else."""

import base64
import gzip
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

BLOCK = 100
"""Drawings that are compressed together: few enough to unpack at a click."""


def packed(raw: bytes) -> str:
    """gzip in base64, the same for the same bytes."""
    return base64.b64encode(gzip.compress(raw, 9, mtime=0)).decode()


def numbers(columns: Sequence[np.ndarray]) -> str:
    """Columns of n numbers each, one after the other, as little-endian doubles.

    The first bytes of all numbers come first, then the second, and so on: the exponents of a column
    are alike, which gzip only sees side by side.
    """
    matrix = np.ascontiguousarray(np.stack(columns), dtype="<f8")
    return packed(matrix.view(np.uint8).reshape(-1, 8).T.tobytes())


def texts(values: Sequence[str]) -> str:
    """Texts as JSON."""
    return packed(json.dumps(list(values), ensure_ascii=False).encode("utf-8", "replace"))


def blocks(values: Sequence[str]) -> list[str]:
    """Texts in blocks of :data:`BLOCK`, each as :func:`texts` packs it."""
    return [texts(values[start : start + BLOCK]) for start in range(0, len(values), BLOCK)]


def script_json(facts: Any) -> str:
    """JSON for a script element: whatever a text holds, it does not end the element."""
    text = json.dumps(facts, ensure_ascii=False, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
