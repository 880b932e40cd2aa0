"""neural-tangents (Novak et al. 2020), made to import on current JAX and without TensorFlow."""

import importlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from threading import Lock
from types import ModuleType
from typing import Any

import jax
import jax.core
import jax.extend.core
from jax._src import util
from jax.interpreters import ad

from nasproxy.errors import DependencyError

NAME = "neural_tangents"
MOVED = ("ClosedJaxpr", "Jaxpr", "JaxprEqn", "Literal", "Primitive", "Var", "jaxpr_as_fun")
"""Names that it looks for in ``jax.core`` and that live in ``jax.extend.core``."""

_lock = Lock()


def load() -> Any:
    """The module ``neural_tangents``, imported when first asked for.

    Version 0.6.5, the last, was written for a JAX that had names in other places. They are put
    there while it is imported and taken away afterwards, so that JAX is left as it was found. What
    stays is an empty module as ``neural_tangents.experimental``, the part that needs TensorFlow.
    ``stax``, ``batch``, ``predict``, ``monte_carlo_kernel_fn`` and the empirical NTK work, its
    implementation 3 (structured derivatives) does not. Any thread may call this at any time.

    Raises:
        DependencyError: neural-tangents is not installed, or does not import.
    """
    with _lock:
        if NAME in sys.modules:
            return sys.modules[NAME]
        if find_spec(NAME) is None:
            raise DependencyError(
                'neural-tangents is not installed: pip install "nasproxy[analytic]" (it brings '
                "TensorFlow along and can do without: pip install frozendict, then "
                "pip install --no-deps neural-tangents==0.6.5)"
            )
        with ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")  # Its own, all about its age.
            stack.enter_context(_old_jax())
            try:
                return _import()
            except (ImportError, AttributeError) as error:
                raise DependencyError(
                    f"neural-tangents does not import on jax {jax.__version__} ({error}): "
                    "version 0.6.5 on jax 0.10 does"
                ) from error


def _import() -> ModuleType:
    experimental = f"{NAME}.experimental"
    sys.modules[experimental] = ModuleType(experimental, "Left out: it needs TensorFlow.")
    try:
        return importlib.import_module(NAME)
    except BaseException:
        for name in [n for n in sys.modules if n == NAME or n.startswith(f"{NAME}.")]:
            del sys.modules[name]
        raise


@contextmanager
def _old_jax() -> Iterator[None]:
    """JAX with the names that neural-tangents imports where it looks for them."""
    wanted: list[tuple[dict[str, Any], str, Any]] = [
        (jax.core.__dict__, name, getattr(jax.extend.core, name)) for name in MOVED
    ]
    wanted.append((ad.__dict__, "zeros_like_p", object()))  # It keys a table with it, nothing else.
    wanted.append((sys.modules, "jax.util", util))
    # What is looked up in the dictionary wakes no module's deprecation warnings.
    added = [(names, name) for names, name, _ in wanted if name not in names]
    try:
        for names, name, value in wanted:
            names.setdefault(name, value)
        yield
    finally:
        for names, name in added:
            del names[name]
