"""From what users write to spaces, proxies and data: ``name:setting=value,…``."""

import dataclasses
import os
from typing import Any

from nasproxy import data
from nasproxy.plugins import PROXIES, SPACES
from nasproxy.settings import make, parse_settings


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
