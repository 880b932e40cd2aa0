"""Fitted kernel machines in files: arrays and JSON, nothing that runs when it is read."""

import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasproxy import files
from nasproxy.errors import DataError, SettingError, StoreError
from nasproxy.files import StrPath
from nasproxy.kernels.inputs import Inputs
from nasproxy.solvers.estimator import KernelMachine
from nasproxy.solvers.kernel import Kernel

FORMAT = 1
_HEAD = "model"


def save(model: KernelMachine, path: StrPath) -> None:
    """Writes a fitted model, whole or not at all; :func:`load` reads it.

    Args:
        model: of any solver, fitted with a kernel function or object.
        path: of the file, by convention ``.npz``.

    Raises:
        SettingError: it is not fitted, or with ``kernel="precomputed"``.
        DataError: its inputs or labels are no arrays of numbers or text.
        OSError: the file cannot be written.
    """
    if not hasattr(model, "dual_coef_"):
        raise SettingError(f"{type(model).__name__} is not fitted: call its fit first")
    if isinstance(model.kernel, str) and model.kernel == "precomputed":
        raise SettingError(
            'a model of kernel="precomputed" is its matrix: save dual_coef_ by numpy.save, or fit '
            "a kernel object"
        )
    arrays, plain = {}, {}
    for name, value in vars(model).items():
        if name in model.get_params(deep=False) or name in ("_kernel", "_inputs"):
            continue
        if isinstance(value, np.ndarray):
            arrays[f"array:{name}"] = _plain(value, name)
        elif _json(value):
            plain[name] = value
    inputs = model._inputs.values if isinstance(model._inputs, Inputs) else model._inputs
    arrays["inputs"] = _plain(np.asarray(inputs), "inputs")
    params = {n: v for n, v in model.get_params(deep=False).items() if n != "kernel"}
    head = {
        "format": FORMAT,
        "class": type(model).__name__,
        "params": {name: _number(value) for name, value in params.items()},
        "kernel": _encoded(model.kernel),
        "said": repr(model.kernel)[:200],
        "plain": plain,
    }
    arrays["sample"] = _sample(model._kernel, model._inputs)
    with files.replacing(path) as file:
        np.savez(file, **{_HEAD: np.array(json.dumps(head))}, **arrays)


def load(path: StrPath, kernel: Any = None) -> Any:
    """The model in a file, as it was fitted.

    Args:
        path: that :func:`save` wrote.
        kernel: the one it was fitted with, where that is none of this package's settings: a
            function, tiles, or a kernel of another package. It is held against numbers in the file.

    Raises:
        SettingError: a kernel is needed and not given, or is another one.
        StoreError: the file is no model, or damaged.
    """
    path = Path(path)
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = dict(file)
        head = json.loads(str(arrays.pop(_HEAD)))
        if head["format"] != FORMAT:
            raise ValueError(f"its format is {head['format']!r}, not {FORMAT}")
        kind = _kind(head["class"])
        model = kind(**head["params"])
        inputs, sample = arrays.pop("inputs"), arrays.pop("sample")
        own = {name.removeprefix("array:"): array for name, array in arrays.items()}
        model.__dict__.update(**own, **head["plain"])
        if not isinstance(model.dual_coef_, np.ndarray):
            raise ValueError("it has no dual_coef_")
        given = _decoded(head["kernel"])
    except FileNotFoundError:
        raise SettingError(f"{path}: there is no such file") from None
    except Exception as error:  # Archives and JSON that are damaged raise all sorts.
        raise StoreError(
            f"{path} is no model that can be read ({' '.join(str(error).split())[:200]}): fit it "
            "again, or give another file"
        ) from error
    if kernel is not None:
        given = kernel
    if given is None:
        raise SettingError(
            f"{path} was fitted with {head['said']}, which a file cannot hold: give it as "
            "load(path, kernel=…)"
        )
    model.kernel = given
    model._kernel = Kernel(model._function())
    model._inputs = model._kernel.prepare(inputs)
    found = _sample(model._kernel, model._inputs)
    scale = np.abs(sample).max(initial=0)
    if found.shape != sample.shape or not np.allclose(found, sample, rtol=1e-3, atol=1e-3 * scale):
        raise SettingError(f"{path} was fitted with another kernel, {head['said']}: give that one")
    return model


def _sample(kernel: Kernel, inputs: Any) -> NDArray[np.float64]:
    return np.asarray(kernel(inputs[:4], inputs[:4])).astype(np.float64)


def _kind(name: str) -> Any:
    from nasproxy import solvers

    found = getattr(solvers, name) if name in solvers.__all__ else None
    if not (isinstance(found, type) and issubclass(found, KernelMachine)):
        raise ValueError(f"it is of {name!r}, which is no solver")
    return found


def _plain(array: NDArray[Any], name: str) -> NDArray[Any]:
    if array.dtype.kind == "O" and all(isinstance(v, str) for v in array.flat):
        return array.astype(str)
    if array.dtype.kind not in "biufSU":
        raise DataError(f"{name} of the model are {array.dtype}: only numbers and text are saved")
    return array


def _json(value: Any) -> bool:
    try:
        return json.loads(json.dumps(value)) == value
    except (TypeError, ValueError):
        return False


def _number(value: Any) -> Any:
    """NumPy's numbers as Python's, which JSON has."""
    return value.item() if isinstance(value, np.generic) else value


def _encoded(kernel: Any) -> Any:
    """A kernel as JSON: a name, or settings of this package's classes; None for all others."""
    if isinstance(kernel, str):
        return kernel
    kind = type(kernel)
    if not (dataclasses.is_dataclass(kind) and kind.__module__.startswith("nasproxy.kernels")):
        return None
    fields = {}
    for field in dataclasses.fields(kind):
        value = getattr(kernel, field.name)
        if dataclasses.is_dataclass(value):
            value = _encoded(value)
            if value is None:
                return None
        if not _json(value):
            return None
        fields[field.name] = value
    return {"module": kind.__module__, "name": kind.__qualname__, "fields": fields}


def _decoded(found: Any) -> Any:
    if not isinstance(found, dict):
        return found
    if not str(found["module"]).startswith("nasproxy.kernels"):
        raise ValueError(f"its kernel is of {found['module']}, which is none of this package's")
    kind = getattr(importlib.import_module(found["module"]), found["name"])
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise ValueError(f"its kernel is {found['name']}, which is none")
    fields = {k: _decoded(v) if isinstance(v, dict) else v for k, v in found["fields"].items()}
    return kind(**fields)
