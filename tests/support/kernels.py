"""Kernels in plain NumPy, for other processes too: they live in a module they can import."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Gauss:
    """exp(−|x − x'|²/2·width²), and what is to happen as it is computed.

    Attributes:
        width: of it.
        seconds: a block takes.
        log: file that gets a line a block of more than 16 points; empty for none.
        broken: a first coordinate whose kernel is NaN.
    """

    width: float = 3.0
    seconds: float = 0.0
    log: str = ""
    broken: float = np.inf

    def __call__(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        if len(a) > 16:
            time.sleep(self.seconds)
            if self.log:
                with Path(self.log).open("a") as file:
                    file.write("block\n")
        squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * a @ b.T
        made = np.exp(-np.maximum(squares, 0) / (2 * self.width**2))
        made[a[:, 0] == self.broken] = np.nan
        return made
