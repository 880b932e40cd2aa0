"""A few inputs of every target; ``python -m tests.fuzz`` tries as many as there are minutes."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.running import Tally, try_one
from tests.fuzz.targets import TARGETS

COUNT = 60


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_are_right_or_refused_in_a_line(name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        target, rng, tally = TARGETS[name](tmp_path), np.random.default_rng(0), Tally()
        for _ in range(COUNT):
            try_one(target, rng, tally)
    assert not tally.unclear
    assert tally.refused, "a target whose inputs are all right tries nothing"
