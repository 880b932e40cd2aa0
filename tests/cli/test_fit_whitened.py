"""``nasproxy fit --whiten --flip`` from end to end: what the system of all 2n images gives."""

import numpy as np
import pytest

from nasproxy import data
from nasproxy.data.whitening import fit_whitening, whiten
from nasproxy.errors import SettingError
from nasproxy.kernels import CNNVec
from tests.support.cli import run

SIZES = ("--n-train", "100", "--n-valid", "80", "--solver", "ridge", "--ridge", "0.01")


def accuracy(output: str) -> float:
    (line,) = [line for line in output.splitlines() if "valid accuracy" in line]
    return float(line.split("│")[2])


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("epsilon", [None, 0.5])
def test_the_fit_is_that_of_images_and_mirror_images(epsilon: float | None, flip: bool) -> None:
    words = ["--kernel", "cv1:end=pool", "--kind", "nngp", *SIZES, "--quiet"]
    words += [] if epsilon is None else ["--whiten", str(epsilon)]
    output = run("fit", *words, *(["--flip"] if flip else []))

    digits = data.load("digits")
    x, y = digits.subset("train", 100, 0)
    valid, labels = digits.subset("valid", 80, 0)
    if epsilon is not None:
        fitted = fit_whitening(x, epsilon)
        x, valid = whiten(x, fitted), whiten(valid, fitted)
    kernel = CNNVec(1, "nngp", end="pool", dtype="float64")
    single = kernel(x)
    ridge = 0.01 * np.trace(single) / 100
    if flip:
        # In units of the mean diagonal of k(x, x') + k(x, f x'), as solvers take it.
        mirrored = kernel(x, x[:, :, ::-1])
        ridge = 0.01 * np.trace(single + mirrored) / 100
        x, y = np.concatenate([x, x[:, :, ::-1]]), np.tile(y, 2)
    gram = kernel(x)
    alpha = np.linalg.solve(gram + ridge * np.eye(len(gram)), np.eye(10)[y] - 0.1)
    predicted = (kernel(valid, x) @ alpha).argmax(1)
    # Printed to four digits; a float32 kernel may settle a tie otherwise.
    assert accuracy(output) == pytest.approx((predicted == labels).mean(), abs=1 / 80 + 1e-4)
    assert accuracy(output) > 0.5
    assert ("flipped" in output) == flip
    assert ("whitened 0.5" in output) == (epsilon is not None)


def test_a_flag_that_is_no_number_is_refused() -> None:
    with pytest.raises(SettingError, match="whiten"):
        run("fit", "--kernel", "cv1", *SIZES, "--whiten", "0")
