"""What solvers of kernel machines share: scikit-learn's contract."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, check_X_y, column_or_1d, validate_data

from nasproxy.arrays import dense
from nasproxy.checks import Rule, checked
from nasproxy.errors import DataError, SettingError
from nasproxy.kernels.fully_connected import FullyConnected
from nasproxy.kernels.inputs import Inputs
from nasproxy.solvers.kernel import Kernel, block, check_gram, product

SINGLE = [np.float64, np.float32]


@dataclass(eq=False, repr=False)
class KernelMachine(BaseEstimator):
    """A function f(x) = Σ_i α_i k(x, x_i), one column a class or a target.

    Attributes:
        kernel: a function ``kernel(x1, x2)`` of arrays ``[n, ...]`` and ``[m, ...]`` that gives
            their block ``[n, m]`` (if it can be called with one array, it gives ``[n, n]``); a
            kernel object, see :class:`~nasproxy.solvers.kernel.Kernel`; ``"ntk"`` or ``"nngp"``
            for those of :class:`~nasproxy.kernels.FullyConnected` in float64; or
            ``"precomputed"``, for matrices ``[n, n]`` in the place of inputs to ``fit``, and
            ``[m, n]`` to ``predict``.

    After fitting:
        dual_coef_: α, ``[n, c]`` float64, in the order of the points: a column a class or target.
        n_features_in_: the second axis of the inputs, if they are arrays.
    """

    kernel: Callable[..., Any] | str = "ntk"

    rules: ClassVar[dict[str, Rule]] = {}
    """What the other parameters may be; looked at when they are used, as scikit-learn has it."""

    @abstractmethod
    def _solve(self, *given: Any, **options: Any) -> Any:
        """α ``[n, c]``, given a kernel, inputs made ready for it, and targets ``[n, c]``."""

    def set_params(self, **params: Any) -> Self:
        """Sets parameters, those of a kernel object too: ``kernel__depth=5``.

        Kernels are values: the machine gets another one, and who shares the old one keeps it.

        Raises:
            ValueError: a parameter that there is not.
        """
        own = {name.removeprefix("kernel__"): name for name in params if "kernel__" in name}
        super().set_params(**{n: v for n, v in params.items() if n not in own.values()})
        if own:
            if not is_dataclass(self.kernel) or isinstance(self.kernel, type):
                raise ValueError(f"kernel={self.kernel!r} has no parameters to set: {list(own)}")
            known = self.get_params()
            for name in own.values():
                if name not in known:
                    raise ValueError(f"Invalid parameter {name!r} for estimator {self}")
            changed: Any = replace(self.kernel, **{n: params[name] for n, name in own.items()})
            self.kernel = changed
        return self

    def _fit(self, X: Any, targets: Float64[np.ndarray, "n c"], **options: Any) -> Self:
        kernel, inputs = self._ready(X)
        self._kernel, self._inputs = kernel, inputs
        self.dual_coef_ = self._solve(kernel, inputs, targets, **options)
        return self

    def _checked(self) -> None:
        """Makes parameters plain numbers for the solver, without touching what was given."""
        owner = type(self).__name__
        for name, rule in self.rules.items():
            checked(owner, name, getattr(self, name), rule)

    def _setting(self, name: str) -> Any:
        """A parameter, as its rule reads it."""
        return checked(type(self).__name__, name, getattr(self, name), self.rules[name])

    def _ready(self, X: Any) -> tuple[Kernel, Any]:
        """The kernel as the solver calls it, and inputs made ready for it."""
        if isinstance(self.kernel, str) and self.kernel == "precomputed":
            check_gram(X)
            return Kernel(_Matrix(X)), np.arange(len(X))
        kernel = Kernel(self._function())
        return kernel, kernel.prepare(X)

    def _function(self) -> Any:
        if not isinstance(self.kernel, str):
            return self.kernel
        if self.kernel in ("ntk", "nngp"):
            # In float32 a prediction would depend, in its last digits, on the others.
            return FullyConnected(kind=self.kernel, dtype="float64")
        raise SettingError(
            f'kernel={self.kernel!r}: give "ntk", "nngp", "precomputed", a function of two arrays, '
            "or a kernel such as FullyConnected(depth=3)"
        )

    def _values(self, X: Any) -> Float64[np.ndarray, "m c"]:
        """f at points, ``[m, c]``."""
        check_is_fitted(self, "dual_coef_")
        if isinstance(self.kernel, str) and self.kernel == "precomputed":
            rows: Any = validate_data(self, _given(X), reset=False, dtype=SINGLE)
            return product(block(rows, *rows.shape), self.dual_coef_)
        return self._combined(self._kernel.prepare(self._new_points(X)))

    def _combined(self, x: Any) -> Float64[np.ndarray, "m c"]:
        """f at points made ready for the kernel."""
        return self._kernel.times(x, self._inputs, self.dual_coef_)

    def _new_points(self, X: Any) -> Any:
        """Inputs, checked against those that were fitted."""
        if not _raw(self.kernel, X):
            X = validate_data(self, _given(X), reset=False, allow_nd=True, dtype=SINGLE)
            fitted = getattr(self._inputs, "shape", X.shape)  # Those made ready are flat.
            if X.shape[1:] != fitted[1:]:
                raise DataError(
                    f"inputs of shape {list(X.shape[1:])}, but {list(fitted[1:])} were fitted: "
                    "give inputs of one shape"
                )
        return X

    def _points(self, X: Any) -> Any:
        """Training inputs, checked."""
        if _raw(self.kernel, X):
            return X
        return validate_data(self, _given(X), allow_nd=True, dtype=SINGLE)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = isinstance(self.kernel, str) and self.kernel == "precomputed"
        tags.input_tags.three_d_array = not tags.input_tags.pairwise
        return tags


class Regressor(MultiOutputMixin, RegressorMixin):
    """Real targets, ``[n]`` or ``[n, c]``, by whichever solver it stands before."""

    def fit(self: Any, X: Any, y: ArrayLike, **options: Any) -> Any:
        """Fits real targets ``[n]`` or ``[n, c]``.

        Raises:
            ValueError: what does not match, is not finite, or is no number: as scikit-learn says
                it, or as DataError.
            SettingError: a parameter out of its range.
        """
        self._checked()
        inputs = self._points(X)
        targets = _targets(y, len(inputs))
        self._flat = targets.ndim == 1
        return self._fit(inputs, targets.reshape(len(targets), -1), **options)

    def predict(self: Any, X: Any) -> NDArray[np.float64]:
        """f at points, shaped as the targets were: ``[m]`` or ``[m, c]``."""
        values = self._values(X)
        return values[:, 0] if self._flat else values


class Classifier(ClassifierMixin):
    """Labels ``[n]``, by whichever solver it stands before.

    After fitting: ``classes_``, the labels in the order of the columns of ``dual_coef_``.
    """

    def fit(self: Any, X: Any, y: ArrayLike, **options: Any) -> Any:
        """Fits labels ``[n]``, of two classes or more, numbers or text.

        Raises:
            ValueError: what does not match or is no label: as scikit-learn says it, or as
                DataError.
            SettingError: a parameter out of its range.
        """
        self._checked()
        inputs = self._points(X)
        labels = column_or_1d(_labels(y, len(inputs)), warn=True)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        count = len(self.classes_)
        if count < 2:
            raise DataError(
                f"all {len(labels)} labels are of one class, {self.classes_[0].item()!r}: there is "
                "nothing to tell apart; give at least two classes"
            )
        return self._fit(inputs, np.eye(count)[codes] - self._centre(count), **options)

    def _centre(self, classes: int) -> float:
        """What is taken from one-hot targets, so that their mean is nothing to learn."""
        return 1 / classes

    def decision_function(self: Any, X: Any) -> NDArray[np.float64]:
        """A score a class, ``[m, c]``; of two classes ``[m]``, how much the second is ahead."""
        values = self._values(X)
        return values[:, 1] - values[:, 0] if len(self.classes_) == 2 else values

    def predict(self: Any, X: Any) -> NDArray[Any]:
        """Labels ``[m]`` of the largest score."""
        chosen = self._values(X).argmax(1)
        return self.classes_[chosen]


class _Matrix:
    """Blocks of a matrix ``[n, n]``, by indices."""

    def __init__(self, matrix: NDArray[np.floating]) -> None:
        self._matrix = matrix

    def __call__(self, rows: NDArray[np.integer], columns: Any = None) -> NDArray[np.floating]:
        if columns is None or columns is rows:
            columns = rows
        if len(rows) == len(columns) == len(self._matrix) and _ordered(rows) and _ordered(columns):
            return self._matrix  # no copy of all of it
        return self._matrix[np.ix_(rows, columns)]

    def diagonal(self, rows: NDArray[np.integer]) -> NDArray[np.floating]:
        return self._matrix[rows, rows]


def _ordered(indices: NDArray[np.integer]) -> bool:
    return bool((indices == np.arange(len(indices))).all())


def _raw(kernel: Any, X: Any) -> bool:
    """Whether inputs are for the kernel alone to check: indices, or made ready by it before."""
    return isinstance(X, Inputs) or not getattr(kernel, "requires_vector_input", True)


def _given(X: Any) -> Any:
    """Inputs for scikit-learn to check, unless it would take them for others.

    Raises:
        DataError: they are masked, complex, not finite, or text.
    """
    if hasattr(X, "toarray"):
        return X  # It says so.
    found = dense(X, "inputs")
    if found.dtype.kind == "c":
        raise DataError("Complex data not supported: give both parts side by side")
    texts = found.flat if found.dtype.kind == "O" else ()
    if found.dtype.kind in "SU" or any(isinstance(v, str | bytes) for v in texts):
        raise DataError("inputs are text: give numbers")
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        row = int(np.argwhere(~np.isfinite(found))[0, 0])
        raise DataError(f"input {row} holds NaN or infinity: leave it out or repair it")
    return X


def _targets(y: ArrayLike, points: int) -> NDArray[np.float64]:
    if y is None:
        raise DataError("this estimator requires y to be passed, but the target y is None")
    y = dense(y, "targets")
    if y.dtype.kind in "SU" or (y.dtype.kind == "O" and any(isinstance(v, str) for v in y.flat)):
        raise DataError("Unknown label type: targets are text; give numbers, or use a classifier")
    if np.iscomplexobj(y):
        raise DataError("targets are complex: give real ones, such as both parts in columns")
    _, targets = check_X_y(
        np.zeros((points, 1)), y, multi_output=True, y_numeric=True, ensure_min_features=0
    )
    return targets.astype(np.float64)


def _labels(y: ArrayLike, points: int) -> NDArray[Any]:
    if y is None:
        raise DataError("this estimator requires y to be passed, but the target y is None")
    labels = dense(y, "labels")
    if labels.ndim == 0 or len(labels) != points:
        found = "one label" if labels.ndim == 0 else f"{len(labels)} labels"
        raise DataError(f"{points} inputs and {found}: give one label an input")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise DataError("Input y contains NaN or infinity: leave those points out")
    return labels
