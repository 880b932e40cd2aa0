"""One progress bar for everything that takes long; plain lines where nobody watches a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

SECONDS = 30.0
"""Between two lines of a log file, at least."""


@contextmanager
def bar(
    what: str, total: int, done: int = 0, *, shown: bool = True
) -> Iterator[Callable[[], None]]:
    """A bar on standard error; the block calls what it is given once for each item finished.

    Where all is done already there is nothing to show.
    """
    shown = shown and done < total
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with _shown(what, columns, total, done, shown=shown, said="{done:,.0f}/{total:,}") as update:
        finished = done

        def advance() -> None:
            nonlocal finished
            finished += 1
            update(finished)

        yield advance


@contextmanager
def fraction(what: str, *, shown: bool = True) -> Iterator[Callable[[float], None]]:
    """A bar on standard error; the block calls what it is given with the part done, 0 to 1."""
    columns = (BarColumn(), TimeRemainingColumn())
    with _shown(what, columns, 1, 0, shown=shown, said="{done:.0%}") as update:
        yield update


@contextmanager
def _shown(
    what: str,
    columns: tuple[ProgressColumn, ...],
    total: int,
    done: int,
    *,
    shown: bool,
    said: str,
) -> Iterator[Callable[[float], None]]:
    console = Console(stderr=True)
    if shown and not (console.is_terminal or console.is_jupyter):
        with _lines(what, total, done, said) as update:
            yield update
        return
    name = TextColumn("{task.description}", markup=False)
    progress = Progress(name, *columns, console=console, disable=not shown)
    with progress:
        task = progress.add_task(what, total=total, completed=done)
        yield lambda done: progress.update(task, completed=done)


@contextmanager
def _lines(what: str, total: int, done: int, said: str) -> Iterator[Callable[[float], None]]:
    """A line now and then, and one at the end: a bar in a file is a screenful of escape codes."""
    began = last = time.monotonic()
    reached: float = done

    def say() -> None:
        spent = time.monotonic() - began
        line = f"{what}: {said.format(done=reached, total=total)}, {spent:,.0f} s"
        print(line, file=sys.stderr, flush=True)

    def update(done: float) -> None:
        nonlocal last, reached
        reached = done
        if time.monotonic() - last >= SECONDS:
            last = time.monotonic()
            say()

    try:
        yield update
    finally:
        say()
