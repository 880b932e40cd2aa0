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
    """List proxies: what each measures, under which conditions, and its settings.

    Larger scores are better for all of them.
    """
    from nasproxy.proxies.suite import GROUPS

    for name, kind in _loaded(PROXIES):
        presets = getattr(kind, "presets", {})
        more = f" Presets: {'/'.join(presets)}." if presets else ""
        typer.echo(f"{name}: {first_line(kind)} Settings: {_fields(kind)}.{more}")
        if (card := getattr(kind, "card", None)) is not None:
            typer.echo(
                f"    Higher is better. Weights: {card.weights}. Images: {card.images}. "
                f"Batch norm: {card.batch_norm}. Cost: {card.cost}. Source: {card.source}."
            )
    for name, members in GROUPS.items():
        typer.echo(f"{name}: stands for {', '.join(members)}, which share passes.")


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
