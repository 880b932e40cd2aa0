"""Settings of every estimator, kernel and proxy: what is no number of their range is named."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from nasproxy import kernel_fit
from nasproxy.data import Dataset
from nasproxy.errors import DataError, NasproxyError, SettingError
from nasproxy.kernels import FullyConnected, fully_connected
from nasproxy.plugins import PROXIES
from nasproxy.solvers import (
    BlockDiagonal,
    Committee,
    ConjugateGradient,
    ConjugateGradientClassifier,
    EigenPro,
    EigenProClassifier,
    KernelRidge,
    KernelRidgeClassifier,
    Nystrom,
    SubsetOfRegressors,
)

ODD: list[Any] = [
    "abc", "", "1", b"1", math.nan, math.inf, -math.inf, np.float64("nan"), 1 + 2j, -1,
    [], {}, object(), np.array([1.0, 2.0]), (1, 2.5),
]  # fmt: skip
ESTIMATORS: list[Any] = [
    KernelRidge,
    KernelRidgeClassifier,
    ConjugateGradient,
    ConjugateGradientClassifier,
    EigenPro,
    EigenProClassifier,
    BlockDiagonal,
    Committee,
    Nystrom,
    SubsetOfRegressors,
]
X, Y = np.random.default_rng(0).normal(size=(12, 3)), np.arange(12) % 2
KINDS: list[Any] = [*(PROXIES[name] for name in sorted(PROXIES)), FullyConnected]


def said(error: pytest.ExceptionInfo[BaseException], name: str) -> None:
    message = str(error.value)
    assert message.startswith(f"{name}="), message
    assert ": give " in message
    assert "\n" not in message


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_parameters_of_estimators(kind: Any) -> None:
    for name in kind.rules:
        for value in [*ODD, True]:
            with pytest.raises(SettingError) as caught:
                kind(**{name: value}).fit(X, Y)
            said(caught, name)


@pytest.mark.parametrize("kind", KINDS)
def test_fields_of_proxies_and_kernels(kind: Any) -> None:
    for field in dataclasses.fields(kind):
        flag = isinstance(field.default, bool) or field.name == "augment"
        text = isinstance(field.default, str) or field.name == "machine"
        for value in [*ODD, *([] if flag else [True])]:
            if field.name == "machine" and isinstance(value, str) and value:
                continue
            if field.name == "regularisers" and isinstance(value, tuple):
                continue  # (1, 2.5) are two of them
            with pytest.raises(SettingError) as caught:
                kind(**{field.name: value})
            if not text:
                said(caught, field.name)


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_numpy_are_the_same_settings(kind: Any) -> None:
    for field in dataclasses.fields(kind):
        default = field.default
        if isinstance(default, int | float):
            same = np.array(default)[()]
            assert kind(**{field.name: same}) == kind()
            assert type(getattr(kind(**{field.name: same}), field.name)) is type(default)


@pytest.mark.parametrize("depth", [100_001, 10**9, 10**30])
def test_depth_has_an_end(depth: int) -> None:
    for attempt in (
        lambda: FullyConnected(depth),
        lambda: fully_connected(X, depths=[1, depth]),
        lambda: list(FullyConnected().grid(X, depths=[depth])),
    ):
        with pytest.raises(SettingError, match=f"depth={depth} .* from 1 to 100000"):
            attempt()


def test_what_takes_more_memory_than_there_is_is_refused_before_it_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Little:
        available = 2**12

    x, y = np.tile(X, (20, 1)) + np.arange(240)[:, None], np.arange(240) % 2

    def rbf(a: Any, b: Any) -> Any:
        return np.exp(-np.square(a[:, None] - b[None]).sum(-1))

    monkeypatch.setattr(psutil, "virtual_memory", Little)
    for attempt, what in (
        (lambda: FullyConnected()(x), "the kernel of 240 by 240 inputs at depth 3"),
        (lambda: KernelRidge(rbf).fit(x, y), "a direct solve of 240 points"),
        (lambda: EigenPro(rbf, top=10).fit(x, y), "the kernel of a subsample of 240 points"),
        (lambda: ConjugateGradient(rbf).fit(x, y), "to keep the kernel of 240 points"),
        (
            lambda: EigenPro(rbf, top=2, subsample=8).fit(x, y),
            "to keep the kernel of 240 points",
        ),
    ):
        with pytest.raises(SettingError, match=f"{what} takes .* GiB, and .* are free: give "):
            attempt()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"seed": -1}, "seed=-1 of a fit"),
        ({"seed": 0.5}, "seed=0.5"),
        ({"n_train": 0}, "n_train=0"),
        ({"n_train": 10**9}, "more than the 96 images"),
        ({"n_valid": "all"}, "n_valid='all'"),
        ({"n_valid": 10**9}, "more than the 64 images"),
        ({"checkpoint": Path("a.npz")}, "eigenpro"),
    ],
)
def test_fits_are_refused_before_the_work(
    given: dict[str, Any], named: str, tiny_data: Dataset
) -> None:
    class Never(KernelRidgeClassifier):
        def fit(self, *_: Any, **__: Any) -> Any:
            raise AssertionError("it was fitted")

    with pytest.raises(NasproxyError, match=named):
        kernel_fit.fit(tiny_data, Never(), **given)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_images_that_are_not_finite_are_refused(broken: float, tiny_data: Dataset) -> None:
    spoilt = tiny_data.train_images[:].copy()
    spoilt[5, 0, 0, 0] = broken
    with pytest.raises(DataError, match=r"input \d+ holds NaN or infinity"):
        kernel_fit.fit(
            dataclasses.replace(tiny_data, train_images=spoilt),
            KernelRidgeClassifier(FullyConnected()),
        )
    with pytest.raises(SettingError, match="scale inputs"):
        fully_connected(np.float32(1e30) * X.astype(np.float32))
