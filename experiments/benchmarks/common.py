"""What the benchmarks share: interleaved timing, and a table that says where it was made."""

import os
import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from nasproxy.machine import processor
from nasproxy.reproduce.provenance import commit


def seconds(function: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def in_turn(
    contenders: dict[str, Callable[[Any], object]], items: Sequence[Any]
) -> dict[str, list[float]]:
    """Seconds of every contender on every item, one after the other: A B A B …

    So a machine whose speed drifts slows all of them alike. Each begins after a pause, in which the
    threads of the one before, which wait actively, come to rest.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for item in items:
        for name, run in contenders.items():
            time.sleep(0.3)
            times[name].append(seconds(lambda run=run, item=item: run(item)))
    return times


def report(title: str, rows: Sequence[dict[str, str]], notes: Sequence[str] = ()) -> None:
    """Prints the rows as a table, with the machine and the versions under it."""
    table = Table(title=title, title_justify="left")
    for column in rows[0]:
        table.add_column(column, justify="left" if column == next(iter(rows[0])) else "right")
    for row in rows:
        table.add_row(*row.values())
    console = Console()
    console.print(table)
    for note in notes:
        console.print(note)
    versions = ", ".join(f"{name} {version(name)}" for name in ("jax", "numpy", "scipy"))
    console.print(
        f"commit {commit()}; {processor()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, {versions}",
        soft_wrap=True,
    )


def ratio(slow: Sequence[float], fast: Sequence[float]) -> str:
    """Median of the ratios item by item."""
    return f"{median(a / b for a, b in zip(slow, fast, strict=True)):.2f}×"
