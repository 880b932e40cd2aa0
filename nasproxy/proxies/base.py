"""What a proxy is: settings that, given data, become a function from an architecture to a score."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

from nasproxy import machine
from nasproxy.data import Dataset
from nasproxy.errors import SettingError
from search_spaces import SearchSpace


@dataclass(frozen=True)
class Score:
    """What a proxy says of one architecture.

    Attributes:
        value: the score; larger means predicted better.
        flops: floating-point operations that it took, as the proxy's source counts them.
        columns: further scores by name, each a column of its own beside the value.
        info: whatever else is worth keeping, as JSON.
    """

    value: float
    flops: float
    columns: dict[str, float] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)


Scorer: TypeAlias = Callable[[Any], Score]
"""From an architecture of the space it was prepared for to its score."""


@runtime_checkable
class Proxy(Protocol):
    """A frozen dataclass whose fields are the proxy's settings.

    One file and one line in ``nasproxy/proxies/__init__.py`` add a proxy. Proxies that run networks
    have a field ``width``, the stem's channels, None for the space's own, unless they measure the
    very network of the space. Those that measure time have a field ``machine``, None for the one at
    hand.

    Attributes:
        name: what the proxy is called on the command line and in tables.
    """

    name: ClassVar[str]

    def prepare(self, space: SearchSpace, data: Dataset, seed: int) -> Scorer:
        """Does once what every architecture shares, and checks settings against the data.

        Raises:
            SettingError, DataError: before anything is computed.
        """
        ...


def on_width(proxy: Proxy, space: SearchSpace) -> tuple[Proxy, SearchSpace]:
    """The proxy without its ``width``, and the space at that width: what a store's keys name."""
    width = getattr(proxy, "width", None)
    if width is None:
        return proxy, space
    return (
        dataclasses.replace(proxy, width=None),  # type: ignore[type-var]  # proxies are dataclasses
        dataclasses.replace(space, width=width),  # type: ignore[type-var]  # so are spaces
    )


def on_machine(proxy: Proxy) -> Proxy:
    """The proxy with the ``machine`` that it measures on, if it has such a field."""
    if getattr(proxy, "machine", "") is not None:
        return proxy
    return dataclasses.replace(proxy, machine=machine.name())  # type: ignore[type-var]  # as above


def describe(settings: object, name: str, *, full: bool) -> str:
    """``name:field=value,…`` of a dataclass: with ``full`` every field, else those not default.

    Written so that :func:`parse_settings` reads it back.
    """
    shown = []
    for entry in dataclasses.fields(settings):  # type: ignore[arg-type]  # a dataclass
        value = getattr(settings, entry.name)
        if value is not None and (full or value != entry.default):
            shown.append(f"{entry.name}={_text(value)}")
    return f"{name}:{','.join(shown)}" if shown else name


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return "/".join(_text(v) for v in value)
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def parse_settings(text: str) -> tuple[str, dict[str, Any]]:
    """``name:key=value,key=a/b`` to a name and its settings, numbers and booleans converted.

    Raises:
        SettingError: a part is no ``key=value``, or a key is given twice.
    """
    name, _, rest = text.strip().partition(":")
    settings: dict[str, Any] = {}
    for part in filter(None, (p.strip() for p in rest.split(","))):
        key, equals, value = (p.strip() for p in part.partition("="))
        if not (key and equals and value):
            raise SettingError(
                f"{part!r} in {text!r}: settings are written name:key=value,key=value"
            )
        if key in settings:
            raise SettingError(f"{key!r} is given twice in {text!r}: give it once")
        values = [_value(v) for v in value.split("/")]
        settings[key] = values[0] if len(values) == 1 else tuple(values)
    return name, settings


def _value(text: str) -> int | float | bool | str | None:
    constants = {"true": True, "false": False, "none": None}
    if text.lower() in constants:
        return constants[text.lower()]
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text


def make(kind: type, name: str, settings: dict[str, Any]) -> Any:
    """An instance of a settings dataclass, starting from its preset if ``preset`` names one.

    Raises:
        SettingError: a setting that it does not have, naming those it has.
    """
    settings = dict(settings)
    presets: dict[str, dict[str, Any]] = getattr(kind, "presets", {})
    if presets and "preset" in settings:
        preset = settings.pop("preset")
        if preset not in presets:
            raise SettingError(
                f"preset={preset} of {name}: choose one of {', '.join(sorted(presets))}"
            )
        settings = {**presets[preset], **settings}
    known = [entry.name for entry in dataclasses.fields(kind)] + (["preset"] if presets else [])
    for key in settings:
        if key not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise SettingError(f"{name} has no setting {key!r}: {has}")
    return kind(**settings)
