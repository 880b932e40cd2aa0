"""One progress bar for everything that takes long."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


@contextmanager
def bar(
    what: str, total: int, done: int = 0, *, shown: bool = True
) -> Iterator[Callable[[], None]]:
    """A bar on standard error; the block calls what it is given once for each item finished."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=Console(stderr=True), disable=not shown)
    with progress:
        task = progress.add_task(what, total=total, completed=done)
        yield lambda: progress.advance(task)


@contextmanager
def fraction(what: str, *, shown: bool = True) -> Iterator[Callable[[float], None]]:
    """A bar on standard error; the block calls what it is given with the part done, 0 to 1."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=Console(stderr=True), disable=not shown)
    with progress:
        task = progress.add_task(what, total=1.0)
        yield lambda done: progress.update(task, completed=done)
