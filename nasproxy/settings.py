"""Settings of frozen dataclasses as text, ``name:key=value,key=a/b``, and back."""

import dataclasses
from typing import Any

from nasproxy.errors import SettingError

UNSAID = "unsaid"
"""In a field's metadata: the value that what was stored before the field existed stands for. Stores
never name it, so that their old rows go on being found, whatever the default becomes."""

SILENT = "silent"
"""In a field's metadata: true of one that no score depends on, or that another field names."""


RENAMED = {"ntk_regression": ("infinite_width", {"kernel": "kind"})}
"""What versions before called proxies: the name and the settings of today."""


def renamed(name: str, settings: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A name of :func:`parse_settings` and its settings as they are called today."""
    if name not in RENAMED:
        return name, settings
    new, keys = RENAMED[name]
    return new, {keys.get(key, key): value for key, value in settings.items()}


def former(described: str) -> list[str]:
    """What :func:`describe` made of the same settings in versions that called them otherwise."""
    name, colon, rest = described.partition(":")
    found = []
    for old, (new, keys) in RENAMED.items():
        if name == new:
            back = {today: before for before, today in keys.items()}
            parts = (part.partition("=") for part in rest.split(","))
            said = ",".join(f"{back.get(key, key)}{equals}{value}" for key, equals, value in parts)
            found.append(f"{old}{colon}{said}")
    return found


def describe(settings: object, name: str, *, full: bool) -> str:
    """``name:field=value,…`` of a dataclass: with ``full`` every field, else those not default.

    Written so that :func:`parse_settings` reads it back, and :func:`said` what is ``UNSAID``.
    """
    shown = []
    for entry in dataclasses.fields(settings):  # type: ignore[arg-type]  # a dataclass
        if entry.metadata.get(SILENT):
            continue
        value = getattr(settings, entry.name)
        unsaid = full and value == entry.metadata.get(UNSAID)
        if value is not None and not unsaid and (full or value != entry.default):
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


def said(kind: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings that a full description gave, with those that it leaves out."""
    entries = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    unsaid = {e.name: e.metadata[UNSAID] for e in entries if UNSAID in e.metadata}
    return unsaid | settings


def first_line(kind: Any) -> str:
    """What a class or function is, by the first line of its docstring."""
    return (kind.__doc__ or "").strip().partition("\n")[0]
