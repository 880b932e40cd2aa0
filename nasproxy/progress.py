"""One progress bar for everything that takes long.

In a terminal a bar that moves; in a notebook a line that is replaced in place, and that a saved
notebook keeps as it last was (a widget is saved without its state, at 0 %); elsewhere, in logs, a
plain line now and then.
"""

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
LIVELY = 0.5
"""Between two looks of a bar in a notebook."""
_CELLS = 24  # of a bar in a notebook


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
    if shown and (console.is_jupyter or not console.is_terminal):
        say, seconds = (_notebook(total), LIVELY) if console.is_jupyter else (_log, SECONDS)
        with _lines(what, total, done, said, say, seconds) as update:
            yield update
        return
    name = TextColumn("{task.description}", markup=False)
    progress = Progress(name, *columns, console=console, disable=not shown)
    with progress:
        task = progress.add_task(what, total=total, completed=done)
        yield lambda done: progress.update(task, completed=done)


@contextmanager
def _lines(
    what: str,
    total: int,
    done: int,
    said: str,
    write: Callable[[float, str], None],
    seconds: float,
) -> Iterator[Callable[[float], None]]:
    """A line now and then, and one at the end: a bar in a file is a screenful of escape codes."""
    began = last = time.monotonic()
    reached: float = done

    def say() -> None:
        spent = time.monotonic() - began
        write(reached, f"{what}: {said.format(done=reached, total=total)}, {spent:,.0f} s")

    def update(done: float) -> None:
        nonlocal last, reached
        reached = done
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            say()

    try:
        yield update
    finally:
        say()


def _log(done: float, line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _notebook(total: int) -> Callable[[float, str], None]:
    """Shows a bar of text below the cell, and from then on replaces it."""
    from IPython.display import display

    shown = None

    def write(done: float, line: str) -> None:
        nonlocal shown
        full = round(_CELLS * min(done / total, 1.0))
        text = {"text/plain": f"{'█' * full}{'░' * (_CELLS - full)} {line}"}
        if shown is None:
            shown = display(text, raw=True, display_id=True)
        else:
            shown.update(text, raw=True)

    return write
