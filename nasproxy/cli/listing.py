"""What there is to choose from: what installed packages register."""

import dataclasses
from typing import Any

import typer

from nasproxy.cli.app import Command, app
from nasproxy.plugins import PROXIES, SPACES, Registry
from nasproxy.settings import first_line


@app.command(cls=Command)
def spaces() -> None:
    """List search spaces, their settings and samplers."""
    for name, kind in _loaded(SPACES):
        samplers = "/".join(kind.samplers)
        typer.echo(f"{name}: {first_line(kind)} Settings: {_fields(kind)}. Samplers: {samplers}.")


@app.command(cls=Command)
def proxies() -> None:
    """List proxies and their settings."""
    for name, kind in _loaded(PROXIES):
        presets = getattr(kind, "presets", {})
        more = f" Presets: {'/'.join(presets)}." if presets else ""
        typer.echo(f"{name}: {first_line(kind)} Settings: {_fields(kind)}.{more}")


@app.command(cls=Command)
def datasets() -> None:
    """List data sets by name; other image sets of TFDS, prepared folders and .npz work too."""
    from nasproxy import data

    for name, line in data.available():
        typer.echo(f"{name}: {line}")


def _loaded(registry: Registry) -> list[tuple[str, Any]]:
    """Every plug-in; one that does not load is said to be there and left out."""
    found = []
    for name in registry:
        try:
            found.append((name, registry[name]))
        except Exception as error:  # Somebody else's package, whatever it raises.
            typer.echo(f"{name}: cannot be loaded ({type(error).__name__}: {error})", err=True)
    return found


def _fields(kind: type) -> str:
    fields = [f"{f.name}={f.default}" for f in dataclasses.fields(kind)]
    return ", ".join(fields) or "none"
