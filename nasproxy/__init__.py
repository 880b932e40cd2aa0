"""Score neural architectures without training them, and say honestly how good the signal is.

Nothing is imported before it is asked for (PEP 562): ``import nasproxy`` and ``nasproxy --help``
start at once, and JAX is loaded and set up by the first thing that needs it. The names are in
``__init__.pyi``.
"""

from typing import Any

import lazy_loader

_lazily, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("nasproxy")
    return _lazily(name)
