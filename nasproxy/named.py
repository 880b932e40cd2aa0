"""From what users write to spaces, proxies and data: ``name:setting=value,…``, or the objects."""

import dataclasses
import os
from collections.abc import Iterable
from typing import Any

from nasproxy import data
from nasproxy.data import Dataset
from nasproxy.errors import DataError, SettingError
from nasproxy.plugins import PROXIES, SPACES, Registry
from nasproxy.proxies import Proxy
from nasproxy.settings import make, parse_settings
from nasproxy.space import SearchSpace


def as_space(given: Any) -> SearchSpace[Any]:
    """A search space, or the one of a name with settings: :func:`space_of`.

    Raises:
        SettingError: neither, or a class of somebody's own that has a registered name.
    """
    if isinstance(given, str):
        return space_of(given)
    return _instance(SPACES, "space", given)


def as_proxy(given: Any) -> Proxy:
    """A proxy, or the one of a name with settings: :func:`proxy_of`.

    Raises:
        SettingError: as :func:`as_space`.
    """
    if isinstance(given, str):
        return proxy_of(given)
    return _instance(PROXIES, "proxy", given)


def as_proxies(given: Any) -> list[Proxy]:
    """One proxy or several, each an object or a name.

    Raises:
        SettingError: none, or what is none.
    """
    several = isinstance(given, Iterable) and not isinstance(given, str)
    proxies = [as_proxy(one) for one in (given if several else [given])]
    if not proxies:
        raise SettingError('proxies is empty: give a proxy or several, such as "nngp"')
    return proxies


def as_data(given: Any) -> Dataset:
    """A data set, or the one of a name or path with settings: :func:`data_of`.

    Raises:
        DataError: neither, or one that cannot be read.
    """
    if isinstance(given, Dataset):
        return given
    if isinstance(given, str | os.PathLike):
        return data_of(os.fspath(given))
    raise DataError(
        f'data is {_kind(given)}: give a Dataset, such as nasproxy.data.load("digits") or '
        "from_arrays make, or the name of one"
    )


def _instance(registry: Registry, argument: str, given: Any) -> Any:
    """An object of a kind, checked as a dotted name's class is."""
    example = next(iter(registry), registry.what)
    if isinstance(given, type) and dataclasses.is_dataclass(given):
        raise SettingError(
            f"{argument} is the class {given.__name__}: give an object, {given.__name__}()"
        )
    if not any(hasattr(given, member) for member in registry.members):
        raise SettingError(
            f"{argument} is {_kind(given)}: give a {registry.what}, or the name of one, such as "
            f'"{example}"'
        )
    registry.check(_path(type(given)), type(given))
    return given


def _kind(given: Any) -> str:
    return "None" if given is None else f"of type {type(given).__name__}"


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def space_of(text: str) -> Any:
    """The space of ``NAME`` or ``NAME:setting=value,…``; a dotted name is imported."""
    name, settings = parse_settings(text)
    return make(SPACES.find(name), name, settings)


def proxy_of(text: str, width: int | None = None) -> Any:
    """The proxy of ``NAME:setting=value,…``; ``width`` is for one that names none."""
    name, settings = parse_settings(text)
    kind = PROXIES.find(name)
    if width is not None and any(field.name == "width" for field in dataclasses.fields(kind)):
        settings.setdefault("width", width)
    return make(kind, name, settings)


KERNELS = {"fc": "FullyConnected"}
"""Short names; others are the classes of :mod:`nasproxy.kernels`, in small letters."""


def kernel_of(text: str, kind: str | None = None) -> Any:
    """The kernel of ``NAME`` or ``NAME:setting=value,…``; a dotted name is imported.

    Args:
        text: such as ``fc:depth=3``.
        kind: ``ntk`` or ``nngp``, for one that does not say it.

    Raises:
        SettingError: there is no such kernel, or it has no such setting.
    """
    from nasproxy import kernels
    from nasproxy.plugins import imported, is_dotted

    name, settings = parse_settings(text)
    ours = {one.lower(): getattr(kernels, one) for one in kernels.__all__}
    found = ours.get(KERNELS.get(name, name).lower())
    if found is None and is_dotted(name):
        found = imported(name)
    if not (isinstance(found, type) and dataclasses.is_dataclass(found) and callable(found)):
        known = [*KERNELS, *(n for n, one in ours.items() if dataclasses.is_dataclass(one))]
        raise SettingError(
            f"kernel {name!r}: choose one of {', '.join(known)}, or write module.Name for a frozen "
            "dataclass of your own that is called with two arrays"
        )
    if kind is not None:
        if settings.setdefault("kind", kind) != kind:
            raise SettingError(f"kernel {text!r} has a kind already: leave out --kind {kind}")
        settings["kind"] = kind
    return make(found, name, settings)


def data_of(text: str, data_dir: str | os.PathLike[str] | None = None) -> data.Dataset:
    """The data set of a text that :func:`data_settings` reads."""
    name, settings = data_settings(text)
    return data.load(name, data_dir=data_dir, **settings)


def data_settings(text: str) -> tuple[str, dict[str, Any]]:
    """``NAME``, ``PATH`` or either with ``:resolution=64,labels=100``: the name, the settings."""
    name, colon, rest = text.rpartition(":")
    if not colon or "=" not in rest:
        return text, {}
    return name, parse_settings(f"data:{rest}")[1]
