"""Kernels of more points than memory holds: computing tiles, and looking after them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from nasproxy.cli.app import Command, kernel_app
from nasproxy.cli.options import DataDirOption, DataOption, QuietOption
from nasproxy.cli.parsing import workers_of
from nasproxy.cli.printing import console, one_line

TilesArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder that `kernel compute` made.")
]


@kernel_app.command("compute", cls=Command)
def compute(
    kernel: Annotated[
        str,
        typer.Argument(
            metavar="KERNEL",
            help="Kernel, with settings if wanted: fc:depth=3,activation=erf; a dotted name for "
            "one of your own.",
        ),
    ],
    tiles: Annotated[
        Path, typer.Option(help="Folder of the tiles; what is there is not computed again.")
    ],
    kind: Annotated[str | None, typer.Option(help="ntk or nngp.")] = None,
    data: DataOption = "digits",
    data_dir: DataDirOption = None,
    n_train: Annotated[
        int | None, typer.Option(help="Training images, class-balanced; without it, all.")
    ] = None,
    n_valid: Annotated[
        int | None, typer.Option(help="Validation images, class-balanced; without it, all.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the subsets.")] = 0,
    side: Annotated[
        int | None,
        typer.Option(
            help="Of a tile, a multiple of 64; without it, one that takes about a minute."
        ),
    ] = None,
    joint: Annotated[
        bool | None,
        typer.Option(
            "--joint/--no-joint",
            help="Validation images with each other, too: solver committee needs them. By default "
            "where there are no more of them than training images.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes of this machine; without it, this one on all cores."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler whose workers see the folder: tcp://HOST:8786; needs "
            "nasproxy[cluster]."
        ),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Compute a kernel in tiles on disk: the upper triangle, and validation with training images.

    Interrupted or killed, the same command goes on; run on several machines that share the folder,
    it shares out the tiles.

    Example: `nasproxy kernel compute fc:depth=3 --kind ntk --data digits --tiles digits-fc3
    --workers 2`
    """
    from nasproxy.kernel_fit import subset
    from nasproxy.named import data_of, kernel_of
    from nasproxy.tiles import Tiles
    from nasproxy.tiles.layout import MANIFEST

    function = kernel_of(kernel, kind)
    loaded = data_of(data, data_dir)
    train, labels = subset(loaded, "train", n_train, seed)
    valid, valid_labels = subset(loaded, "valid", n_valid, seed)
    if joint is None:  # What is there stays what it was begun as.
        begun = (tiles / MANIFEST).exists()
        joint = Tiles(tiles).manifest.joint if begun else len(valid) <= len(train)
    made = Tiles.create(
        tiles, function, train[:], valid[:], y=labels, y_valid=valid_labels, side=side, joint=joint
    )
    with workers_of(workers, cluster) as crew:
        made.compute(crew, progress=not quiet)
    _say(made, tiles)


@kernel_app.command("status", cls=Command)
def status(tiles: TilesArgument) -> None:
    """Show what a folder of tiles is of, and how many of them are there."""
    from nasproxy.tiles import Tiles

    opened = Tiles(tiles)
    out, found = console(), opened.manifest
    out.print(f"kernel {found.kernel}", soft_wrap=True)
    classes = "" if opened.targets is None else ", with targets"
    out.print(
        f"{found.points:,} training and {found.valid:,} validation points{classes}, tiles of "
        f"{found.side:,}² in {found.dtype}, data {found.data}",
        soft_wrap=True,
    )
    _say(opened, tiles)


@kernel_app.command("verify", cls=Command)
def verify(
    tiles: TilesArgument,
    remove: Annotated[
        bool,
        typer.Option("--remove", help="Remove damaged tiles: `kernel compute` makes them again."),
    ] = False,
) -> None:
    """Read every tile and its checksum, and list those that are torn, foreign, altered or NaN.

    What is damaged is listed, and the exit code is 1.
    """
    from nasproxy.tiles import Tiles

    opened, out = Tiles(tiles), console()
    damaged = opened.verify(remove=remove)
    for one in damaged:
        out.print(one_line(one.what), soft_wrap=True)
    there = opened.status().there + (len(damaged) if remove else 0)
    removed = ", which were removed" if remove and damaged else ""
    whole = there - len(damaged)
    out.print(
        f"{tiles}: {whole:,} tiles are whole, {len(damaged):,} damaged{removed}", soft_wrap=True
    )
    if damaged:
        raise typer.Exit(1)


def _say(tiles: Any, folder: Path) -> None:
    there, wanted, size = tiles.status()
    console().print(
        f"{folder}: {there:,} of {wanted:,} tiles, {size / 2**20:,.1f} MiB", soft_wrap=True
    )
