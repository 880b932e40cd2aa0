"""From what users write to spaces, proxies and data: ``name:setting=value,…``, or the objects."""

import dataclasses
import logging
import os
import re
from collections.abc import Iterable
from typing import Any

from nasproxy import data
from nasproxy.data import Dataset
from nasproxy.errors import DataError, SettingError
from nasproxy.plugins import PROXIES, SPACES, Registry
from nasproxy.proxies import Proxy
from nasproxy.settings import make, parse_settings, renamed
from nasproxy.space import SearchSpace

_log = logging.getLogger(__name__)


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
    """One proxy or several, each an object or a name; a group's name stands for its members.

    Raises:
        SettingError: none, or what is none.
    """
    several = isinstance(given, Iterable) and not isinstance(given, str)
    proxies = [
        proxy
        for one in (given if several else [given])
        for proxy in (proxies_of(one) if isinstance(one, str) else [as_proxy(one)])
    ]
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


def proxies_of(text: str, width: int | None = None) -> list[Any]:
    """The proxy of a text as :func:`proxy_of` has it, or those of a group such as ``suite``."""
    from nasproxy.proxies.suite import GROUPS, members

    name, settings = parse_settings(text)
    return members(name, settings, width) if name in GROUPS else [proxy_of(text, width)]


def proxy_of(text: str, width: int | None = None) -> Any:
    """The proxy of ``NAME:setting=value,…``; ``width`` is for one that names none."""
    from nasproxy.proxies.suite import GROUPS

    given, settings = parse_settings(text)
    if given in GROUPS:
        raise SettingError(
            f"{given} stands for several proxies, and one is wanted: {', '.join(GROUPS[given])}"
        )
    name, settings = renamed(given, settings)
    if name != given:
        _log.warning("the proxy %s is called %s now: write that", given, name)
    kind = PROXIES.find(name)
    if width is not None and any(field.name == "width" for field in dataclasses.fields(kind)):
        settings.setdefault("width", width)
    return make(kind, name, settings)


KERNELS = {
    "fc": ("FullyConnected", "depth"),
    "cv": ("CNNVec", "depth"),
    "myrtle": ("Myrtle", "layers"),
}
"""Short names, and the setting that a number behind one is: ``fc3``, ``cv8``, ``myrtle10``."""
_SHORT = re.compile(rf"({'|'.join(KERNELS)})(\d{{1,6}})?(?:_(flat|pool))?")


def kernel_of(text: str, kind: str | None = None, **settings: Any) -> Any:
    """The kernel of ``NAME`` or ``NAME:setting=value,…``; a dotted name is imported.

    Args:
        text: such as ``fc3``, ``cv8``, ``myrtle10_flat`` or ``fc:depth=3``.
        kind: ``ntk`` or ``nngp``, for one that does not say it.
        **settings: likewise, by name.

    Raises:
        SettingError: there is no such kernel, or it has no such setting, or has it already.
    """
    from nasproxy import kernels
    from nasproxy.plugins import imported, is_dotted

    name, own = parse_settings(text)
    found, short = _kernel(name, kernels)
    if found is None and is_dotted(name):
        found = imported(name)
    if not (isinstance(found, type) and dataclasses.is_dataclass(found) and callable(found)):
        raise SettingError(
            f"kernel {name!r}: choose fc3, cv8, myrtle5, myrtle7, myrtle10 or myrtle10_flat (other "
            "depths by other numbers), with settings if wanted, as fc3:bias_variance=0; or write "
            "module.Name for a frozen dataclass of your own that is called with two arrays"
        )
    if kind is not None:
        settings = {"kind": kind} | settings
    for key, value in (short | settings).items():
        if own.setdefault(key, value) != value:
            option = f": leave out --{key.replace('_', '-')} {value}" if key in settings else ""
            raise SettingError(f"kernel {text!r} has a {key} already{option or ', in its name'}")
    return make(found, name, own)


def _kernel(name: str, kernels: Any) -> tuple[Any, dict[str, Any]]:
    """A class of ours, and the settings that are in its name."""
    if match := _SHORT.fullmatch(name):
        kind, number, end = match.groups()
        kernel, setting = KERNELS[kind]
        settings: dict[str, Any] = {} if number is None else {setting: int(number)}
        if end is not None:
            settings["end"] = {"flat": "flatten", "pool": "pool"}[end]
        return getattr(kernels, kernel), settings
    return {kernel.lower(): getattr(kernels, kernel) for kernel, _ in KERNELS.values()}.get(
        name
    ), {}


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
