"""What there is to choose from."""

import dataclasses

import typer

from nasproxy.cli.app import app


@app.command()
def spaces() -> None:
    """List search spaces, their settings and samplers."""
    from search_spaces import SPACES

    for name, kind in SPACES.items():
        samplers = "/".join(kind.samplers)
        typer.echo(f"{name}: {_first_line(kind)} Settings: {_fields(kind)}. Samplers: {samplers}.")


@app.command()
def proxies() -> None:
    """List proxies and their settings."""
    from nasproxy.proxies import PROXIES

    for name, kind in PROXIES.items():
        presets = getattr(kind, "presets", {})
        more = f" Presets: {'/'.join(presets)}." if presets else ""
        typer.echo(f"{name}: {_first_line(kind)} Settings: {_fields(kind)}.{more}")


@app.command()
def datasets() -> None:
    """List data sets by name; other image sets of TFDS, prepared folders and .npz work too."""
    from nasproxy import data

    for name, line in data.available():
        typer.echo(f"{name}: {line}")


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def _fields(kind: type) -> str:
    fields = [f"{f.name}={f.default}" for f in dataclasses.fields(kind)]
    return ", ".join(fields) or "none"
