"""Mirror images by one more kernel: the system of twice as many images, written out."""

from typing import Any

import numpy as np
import pytest

from nasproxy.data.whitening import fit_whitening, whiten
from nasproxy.errors import DataError, SettingError
from nasproxy.kernels import CNNVec, Flipped, FullyConnected, Myrtle
from nasproxy.solvers import EigenProClassifier, KernelRidge, KernelRidgeClassifier

KERNELS: Any = [
    FullyConnected(2, dtype="float64"),
    CNNVec(2, "nngp", dtype="float64"),
    CNNVec(2, "ntk", end="pool", dtype="float64"),
    Myrtle(5, "ntk", dtype="float64"),
]


def images(n: int) -> Any:
    return np.random.default_rng(n).normal(size=(n, 8, 8, 3))


def mirrored(x: Any) -> Any:
    return np.ascontiguousarray(x[:, :, ::-1])


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_it_solves_the_system_of_images_and_mirror_images(kernel: Any) -> None:
    x, new = images(9), images(5)
    y = np.random.default_rng(0).normal(size=(9, 3))
    both = np.concatenate([x, mirrored(x)])
    whole = np.asarray(kernel(both))
    np.testing.assert_allclose(whole[:9, :9], whole[9:, 9:], rtol=1e-7)
    ridge = 0.1 * np.trace(whole) / 18
    alpha = np.linalg.solve(whole + ridge * np.eye(18), np.concatenate([y, y]))
    np.testing.assert_allclose(alpha[:9], alpha[9:], rtol=1e-5, atol=1e-8)
    expected = np.asarray(kernel(new, both)) @ alpha

    flipped = Flipped(kernel)
    matrix = flipped(x)
    small = np.linalg.solve(matrix + ridge * np.eye(9), y)
    np.testing.assert_allclose(small, alpha[:9], rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(flipped(new, x) @ small, expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(flipped.diagonal(x), np.diagonal(matrix), rtol=1e-6)
    model = KernelRidge(flipped, ridge=ridge / (np.trace(matrix) / 9)).fit(x, y)
    np.testing.assert_allclose(model.predict(new), expected, rtol=1e-5, atol=1e-7)
    # Mirroring what is asked changes nothing, as with the whole system.
    np.testing.assert_allclose(model.predict(mirrored(new)), expected, rtol=1e-5, atol=1e-7)


def test_any_function_of_two_arrays_serves() -> None:
    def linear(a: Any, b: Any) -> Any:
        return a.reshape(len(a), -1) @ b.reshape(len(b), -1).T

    x = images(6)
    expected = linear(x, x) + linear(x, mirrored(x))
    np.testing.assert_allclose(Flipped(linear)(x), expected)
    np.testing.assert_allclose(Flipped(linear).diagonal(x), np.diagonal(expected))
    assert Flipped(linear)(x, images(4)).shape == (6, 4)


def test_a_kernel_that_sees_left_from_right_is_refused() -> None:
    def left(a: Any, b: Any) -> Any:
        weights = np.linspace(0, 1, a.shape[2])[:, None]
        return (a * weights).reshape(len(a), -1) @ (b * weights).reshape(len(b), -1).T

    with pytest.raises(DataError, match="changes when both images are mirrored"):
        Flipped(left)(images(6))


def test_whitening_with_flips_keeps_the_symmetry_and_without_breaks_it() -> None:
    x = images(12)
    kernel = Myrtle(5, "nngp", dtype="float64")
    Flipped(kernel)(whiten(x, fit_whitening(x, 0.1)))
    without = fit_whitening(x[:4], 0.1, flips=False)
    a, b = whiten(x, without), whiten(mirrored(x), without)
    whole = np.asarray(kernel(np.concatenate([a, b])))
    assert np.abs(whole[:12, :12] - whole[12:, 12:]).max() > 1e-3 * whole.max()


def test_solvers_take_it() -> None:
    x, y = images(40), np.arange(40) % 2
    x[y == 1, :, :4] += 1
    new, labels = images(30), np.arange(30) % 2
    new[labels == 1, :, 4:] += 1  # Seen only in the mirror.
    plain = KernelRidgeClassifier(FullyConnected(1), ridge=0.1).fit(x, y)
    flipped = KernelRidgeClassifier(Flipped(FullyConnected(1)), ridge=0.1).fit(x, y)
    assert plain.score(new, labels) < 0.8 < flipped.score(new, labels)
    descent = EigenProClassifier(Flipped(FullyConnected(1)), top=5, ridge=0.1, epochs=300)
    descent.fit(x, y, progress=False)
    assert descent.score(new, labels) == flipped.score(new, labels)


def test_what_is_no_kernel_of_images_is_refused() -> None:
    with pytest.raises(DataError, match="cannot be mirrored"):
        Flipped(FullyConnected())(np.ones((3, 5)))
    with pytest.raises(SettingError, match="both"):
        Flipped(Myrtle(5, "both"))
    with pytest.raises(SettingError, match="give a kernel"):
        Flipped("fc3")
