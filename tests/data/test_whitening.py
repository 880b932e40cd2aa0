"""Whitening against its closed form, Shankar's code written out, and its symmetries."""

from typing import Any

import numpy as np
import pytest

from nasproxy.data.whitening import LARGEST, fit_whitening, normalised, whiten
from nasproxy.errors import DataError, SettingError


def images(n: int, side: int = 4) -> Any:
    """Images whose pixels are correlated."""
    rng = np.random.default_rng(n)
    mixing = rng.normal(size=(side * side * 3, side * side * 3)) / 4
    flat = rng.normal(size=(n, side * side * 3)) @ mixing
    return flat.reshape(n, side, side, 3).astype(np.float32) + 0.2


@pytest.mark.parametrize("regulariser", [1e-3, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("flips", [True, False])
def test_moments_of_what_comes_out_are_s_over_s_plus_epsilon(
    regulariser: float, flips: bool
) -> None:
    x = images(400)
    found = fit_whitening(x, regulariser, flips)
    both = np.concatenate([x, x[:, :, ::-1]]) if flips else x
    moments = np.cov(normalised(both).reshape(len(both), -1).T, bias=True)
    made = whiten(both, found).reshape(len(both), -1).astype(np.float64)
    out = made.T @ made / len(made)
    spectrum, basis = np.linalg.eigh(out)
    # Moments are about 0, not about the mean: written out once more.
    flat = normalised(both).reshape(len(both), -1)
    own = np.linalg.eigvalsh(flat.T @ flat / len(flat))
    assert not np.allclose(own, np.linalg.eigvalsh(moments), rtol=1e-6)
    np.testing.assert_allclose(found.spectrum, own, rtol=1e-9, atol=1e-12)
    assert found.epsilon == pytest.approx(regulariser * own.mean())
    np.testing.assert_allclose(spectrum, own / (own + found.epsilon), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.matrix, found.matrix.T, atol=1e-12)
    assert basis.shape == (48, 48)


def test_it_is_the_published_code() -> None:
    """Shankar et al. 2020 with the trace's unit of Nguyen et al. 2021, line by line."""
    x = images(300).astype(np.float64)
    flat = x.reshape(len(x), -1)
    flat = flat - flat.mean(1, keepdims=True)
    flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    covariance = flat.T @ flat / len(flat)
    regularised = covariance + 0.1 * np.trace(covariance) / 48 * np.eye(48)
    u, s, _ = np.linalg.svd(regularised)
    theirs = flat @ (u / np.sqrt(s)) @ u.T
    ours = whiten(x, fit_whitening(x, 0.1, flips=False))
    np.testing.assert_allclose(ours.reshape(len(x), -1), theirs, rtol=1e-4, atol=1e-5)
    assert ours.dtype == np.float32


def test_a_mirrored_image_is_whitened_to_the_mirrored_image() -> None:
    x = images(50)
    with_flips, without = fit_whitening(x, 0.1), fit_whitening(x, 0.1, flips=False)
    mirrored = x[:, :, ::-1]
    np.testing.assert_allclose(
        whiten(mirrored, with_flips), whiten(x, with_flips)[:, :, ::-1], rtol=1e-4, atol=1e-5
    )
    assert np.abs(whiten(mirrored, without) - whiten(x, without)[:, :, ::-1]).max() > 0.1


def test_directions_that_no_image_has_stay_as_they_are() -> None:
    """Of 10 images in 48 dimensions; blown up, they would be 1/√ε as large."""
    x = images(10)
    found = fit_whitening(x, 1e-3, flips=False)
    flat = normalised(x).reshape(10, -1)
    rest = np.linalg.svd(flat)[2][10:]
    np.testing.assert_allclose(rest @ found.matrix, rest, atol=1e-9)
    np.testing.assert_allclose(
        rest @ fit_whitening(x, 1e-3).matrix @ rest.T,
        rest @ fit_whitening(x, 1e-3).matrix.T @ rest.T,
        atol=1e-9,
    )


def test_scale_and_brightness_of_an_image_do_not_matter() -> None:
    x = images(60)
    found = fit_whitening(x)
    np.testing.assert_allclose(whiten(3 * x + 1, found), whiten(x, found), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(normalised(x).reshape(60, -1), axis=1), 1)


def test_what_cannot_be_whitened_is_refused() -> None:
    x = images(20)
    bad = x.copy()
    bad[3, 0, 0, 0] = np.inf
    constant = x.copy()
    constant[5] = 0.1
    for given, message in (
        (bad, "image 3 holds NaN"),
        (constant, "image 5 is the same number"),
        (x[0], "give \\[n, h, w, c\\]"),
        (np.ones((1, 80, 80, LARGEST // 6400 + 1)), "too large"),
    ):
        with pytest.raises(DataError, match=message):
            fit_whitening(given)
    with pytest.raises(DataError, match="were fitted"):
        whiten(images(3, side=6), fit_whitening(x))
    for regulariser in (0, -1, float("nan"), "1"):
        with pytest.raises(SettingError, match="regulariser"):
            fit_whitening(x, regulariser)  # type: ignore[arg-type]  # on purpose
