"""Stores of scores: what they hold, whether they are whole, and several as one."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from nasproxy.cli.app import Command, store_app
from nasproxy.cli.printing import console, harmless, one_line

StoreArgument = Annotated[Path, typer.Argument(metavar="STORE", help="File that `score` wrote.")]


@store_app.command("info", cls=Command)
def info(store: StoreArgument) -> None:
    """Show what a store holds: a line each space, proxy, data and seed."""
    from nasproxy.store import Store
    from nasproxy.store.merging import existing

    with Store(existing(store)) as opened:
        table = Table()
        for column in ("space", "proxy", "data", "seed", "scores", "failed"):
            table.add_column(column, overflow="fold")
        groups = opened.groups()
        for group in groups:
            row = (group.space, group.proxy, group.data, str(group.seed))
            table.add_row(*map(harmless, row), f"{group.ok:,}", f"{group.failed:,}")
    out = console()
    out.print(table)
    ok, failed = sum(g.ok for g in groups), sum(g.failed for g in groups)
    size = store.stat().st_size / 2**20
    out.print(f"{store}: {ok:,} scores, {failed:,} failed, {size:,.1f} MiB", soft_wrap=True)


@store_app.command("check", cls=Command)
def check(store: StoreArgument) -> None:
    """Check that a store is whole: the file, its index, and the checksum of every score.

    What is damaged is listed, and the exit code is 1.
    """
    from nasproxy.errors import StoreError
    from nasproxy.store import Store
    from nasproxy.store.merging import existing
    from nasproxy.store.rows import record

    out, sound, damaged = console(), 0, 0
    with Store(existing(store)) as opened:
        for row in opened.rows():
            try:
                record(row)
                sound += 1
            except StoreError as error:
                damaged += 1
                out.print(one_line(str(error)), soft_wrap=True)
    out.print(f"{store}: {sound:,} scores are whole, {damaged:,} are damaged", soft_wrap=True)
    if damaged:
        raise typer.Exit(1)


@store_app.command("merge", cls=Command)
def merge(
    stores: Annotated[list[Path], typer.Argument(metavar="STORE…", help="Files to read.")],
    into: Annotated[Path, typer.Option(help="File to add to; made where there is none.")],
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="Leave out scores whose checksum is wrong.")
    ] = False,
) -> None:
    """Add the scores of some stores, such as the shards of a run, to one.

    What several hold is there once, and has to agree. Run again after a kill, it goes on.

    Example: `nasproxy store merge part-*.db --into scores.db`
    """
    from nasproxy.store import Store
    from nasproxy.store.merging import existing
    from nasproxy.store.merging import merge as add

    out = console()
    for path in stores:
        existing(path)
    with Store(into) as opened:
        for path in stores:
            merged = add(path, opened, skip_damaged=skip_damaged)
            damaged = f", {merged.damaged:,} damaged left out" if merged.damaged else ""
            line = f"{path}: {merged.added:,} added, {merged.known:,} known{damaged}"
            out.print(line, soft_wrap=True)
