"""Groups of proxies that go by one name, and share what passes they can."""

import dataclasses
from typing import Any

from nasproxy.errors import SettingError
from nasproxy.plugins import PROXIES
from nasproxy.settings import make

GROUPS: dict[str, tuple[str, ...]] = {
    "suite": (
        "l2_norm",
        "grad_norm",
        "snip",
        "plain",
        "grasp",
        "fisher",
        "synflow",
        "logsynflow",
        "jacov",
        "epe_nas",
        "nwot",
        "zen",
        "zico",
    ),
}
"""Members by the group's name."""

FIXED = {"batch": ("synflow", "logsynflow")}
"""Settings that a group's members have but do not take: these run one image."""


def members(group: str, settings: dict[str, Any], width: int | None = None) -> list[Any]:
    """The proxies of a group, each with those of the settings that it has.

    Args:
        group: one of ``GROUPS``.
        settings: by name; ``preset`` is of those that have it.
        width: for those that are given none.

    Raises:
        SettingError: a setting that no member has, or a value that one does not take.
    """
    kinds = {name: PROXIES[name] for name in GROUPS[group]}
    known = {name: _known(name, kind, settings) for name, kind in kinds.items()}
    for key in settings:
        if not any(key in own for own in known.values()):
            every = dict.fromkeys(k for own in known.values() for k in own)
            raise SettingError(f"{group} has no setting {key!r}: its proxies have {_said(every)}")
    made = []
    for name, kind in kinds.items():
        own = {key: value for key, value in settings.items() if key in known[name]}
        if width is not None:
            own.setdefault("width", width)
        made.append(make(kind, name, own))
    return made


def _known(name: str, kind: Any, settings: dict[str, Any]) -> list[str]:
    fields = [f.name for f in dataclasses.fields(kind) if name not in FIXED.get(f.name, ())]
    return [*fields, "preset"] if settings.get("preset") in getattr(kind, "presets", {}) else fields


def _said(names: dict[str, None]) -> str:
    return ", ".join(names)
