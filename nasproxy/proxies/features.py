"""The NNGP's measures of features that come from anywhere."""

from typing import Any

import numpy as np
from jaxtyping import Float64, Int
from numpy.typing import ArrayLike

from nasproxy.arrays import numbers
from nasproxy.checks import OneOf, checked
from nasproxy.errors import DataError
from nasproxy.proxies import kernel_regression
from nasproxy.proxies.base import NoScore, Score
from nasproxy.proxies.kernel_regression import ACCURACY, MEASURES, OF_VALIDATION, Fit, Problem
from nasproxy.proxies.nngp import ROUNDING, check_features
from nasproxy.solvers.ridge import RidgeSweep


def kernel_score(
    features_train: ArrayLike,
    y_train: ArrayLike,
    features_valid: ArrayLike | None = None,
    y_valid: ArrayLike | None = None,
    *,
    measure: str | None = None,
) -> Score:
    """What the proxy ``nngp`` says of a network, from its features alone, of whatever framework.

    Φ Φᵀ of penultimate features of an untrained network is its Monte-Carlo NNGP (Novak et al.
    2019): one ridge regression for each of 20 regularisers is judged as
    :class:`~nasproxy.proxies.nngp.NNGP` says (Park et al. 2020). For an ensemble of M networks,
    concatenate their features.

    Args:
        features_train: ``[n, …]``, flattened; float64 is kept as it is.
        y_train: labels ``[n]``, whole numbers, each class's own.
        features_valid: ``[m, …]``; None, with ``y_valid``, for measures of the training images.
        y_valid: labels ``[m]``, of the classes of ``y_train``.
        measure: which is the value, the others being columns: ``accuracy`` unless there are no
            validation images, then ``loo_accuracy``. One of ``accuracy``, ``negative_mse``,
            ``loo_accuracy``, ``negative_loo_mse``, ``negative_gcv``, ``log_evidence``.

    Returns:
        A score, larger being better; ``flops`` are the kernel's and the solves'.

    Raises:
        DataError: arrays that are no such features or labels, or features that tell no images
            apart, from which a number would come out, at chance level.
        SettingError: a measure that there is not, or that needs validation images.
    """
    unseen = features_valid is not None or y_valid is not None
    allowed = MEASURES if unseen else [m for m in MEASURES if m not in OF_VALIDATION]
    usual = ACCURACY if unseen else "loo_accuracy"
    chosen = checked("kernel_score", "measure", measure or usual, OneOf(*allowed))
    train, single = _features("features_train", features_train)
    labels = _labels("y_train", y_train, len(train))
    classes = np.unique(labels)
    if len(classes) < 2:
        raise DataError(f"y_train is all {labels[0]}: give images of two classes or more")
    if unseen:
        if features_valid is None or y_valid is None:
            raise DataError("features_valid and y_valid come together: give both or neither")
        valid, also = _features("features_valid", features_valid)
        single = single or also
        if valid.shape[1] != train.shape[1]:
            raise DataError(
                f"features_valid has {valid.shape[1]} features an image, features_train "
                f"{train.shape[1]}: give those of one network"
            )
        valid_labels = _labels("y_valid", y_valid, len(valid))
        if unknown := sorted(set(valid_labels.tolist()) - set(classes.tolist())):
            raise DataError(
                f"y_valid holds {unknown[0]}, which is no label of y_train: leave such images out"
            )
    else:
        valid, valid_labels = train[:0], labels[:0]
    targets = (labels[:, None] == classes) - 1 / len(classes)
    given: Any = np.concatenate([train, valid])  # A problem holds images; a fit reads none.
    problem = Problem(given, targets, np.searchsorted(classes, valid_labels))

    def fit(some: int, networks: int) -> Fit:
        return RidgeSweep(train, targets), valid

    def flops(n_train: int, n_valid: int, ensemble: int) -> float:
        products = 2 * train.shape[1] * n_train * (n_train + n_valid)
        return float(products + kernel_regression.solve_flops(n_train, n_valid, len(classes)))

    try:
        check_features(train, len(train))
        return kernel_regression.judge(
            problem,
            fit,
            flops,
            n_train=len(train),
            n_valid=len(valid),
            measure=chosen,
            resolution=ROUNDING**2 if single else 0.0,
        )
    except NoScore as error:
        raise DataError(f"these features have no score: {error}") from error


def _features(name: str, given: ArrayLike) -> tuple[Float64[np.ndarray, "n d"], bool]:
    """Features in float64, and whether they come with less than that."""
    array = numbers(given, name)
    if array.ndim < 2 or 0 in array.shape:
        raise DataError(f"{name} of shape {list(array.shape)}: give [n, d], none of them 0")
    if not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise DataError(f"{name}[{row}] holds NaN or infinity: the network overflows there")
    return array.reshape(len(array), -1).astype(np.float64), array.dtype != np.float64


def _labels(name: str, given: ArrayLike, n: int) -> Int[np.ndarray, " n"]:
    labels = np.asarray(given)
    if labels.shape != (n,) or labels.dtype.kind not in "iu":
        raise DataError(
            f"{name} is {labels.dtype} of shape {list(labels.shape)}: give whole numbers [{n}], a "
            "label an image"
        )
    return labels
