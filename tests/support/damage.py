"""Damaged files: what a disk, a network or a stranger makes of bytes."""

import numpy as np


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with some bits flipped, a piece cut out, overwritten or doubled, or no end."""
    kind = rng.integers(5)
    broken = bytearray(data)
    start, stop = np.sort(rng.integers(0, len(data) + 1, 2)).tolist()
    if kind == 0:
        for bit in rng.integers(0, 8 * len(data), rng.integers(1, 4)).tolist():
            broken[bit // 8] ^= 1 << bit % 8
    elif kind == 1:
        del broken[start:]
    elif kind == 2:
        del broken[start : min(stop, start + 16)]
    elif kind == 3:
        piece = rng.bytes(min(8, len(data) - start))
        broken[start : start + len(piece)] = piece
    else:
        broken[start:start] = broken[start : min(stop, start + 16)]
    return bytes(broken)
