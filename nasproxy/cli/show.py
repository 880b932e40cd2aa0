"""Drawing an architecture."""

from pathlib import Path
from typing import Annotated

import typer

from nasproxy.cli.app import Command, app
from nasproxy.cli.options import SpaceArgument


@app.command(cls=Command)
def show(
    space: SpaceArgument,
    architecture: Annotated[
        str, typer.Argument(metavar="ARCH", help="A key of the space, or JSON of an architecture.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Write it here (.svg); without it, to the standard output."),
    ] = None,
) -> None:
    """Draw an architecture as SVG.

    Example: `nasproxy show nasbench201 "|skip_connect~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|\
nor_conv_1x1~2|" --out cell.svg`
    """
    from nasproxy.architectures import of_text
    from nasproxy.drawing import svg
    from nasproxy.named import space_of
    from nasproxy.space import draw

    if out is not None:
        svg.check_path(out)
    chosen = space_of(space)
    drawn = draw(chosen, of_text(architecture, chosen))
    if out is None:
        typer.echo(drawn.svg)
    else:
        drawn.save(out)
