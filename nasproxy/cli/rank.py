"""Ranking stored scores, and the tables of truth to rank them against."""

from pathlib import Path
from typing import Annotated

import typer

from nasproxy.cli.app import Command, app, truth_app
from nasproxy.cli.options import (
    QuietOption,
)
from nasproxy.cli.printing import harmless
from nasproxy.errors import SettingError


@app.command(cls=Command)
def rank(
    store: Annotated[
        list[Path],
        typer.Option(
            help="Store that `score` wrote; again for more, such as shards: what several hold "
            "counts once, and must agree."
        ),
    ],
    truth: Annotated[
        str,
        typer.Option(
            help="FILE:COLUMN of a .parquet or .csv table (FILE:COLUMN:lower where lower is "
            "better), or a stored proxy such as training:epochs=4."
        ),
    ],
    key: Annotated[str | None, typer.Option(help="Key column of the tables.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="COLUMN=VALUE: the rows to read of a table with several an architecture, such as "
            "dataset=cifar10; again for more.",
            show_default=False,
        ),
    ] = None,
    average: Annotated[
        bool, typer.Option("--average", help="Take means over rows of one key that differ.")
    ] = False,
    latency: Annotated[
        str | None,
        typer.Option(
            help="Rank against MNAS's reward of the truth, accuracy × (latency / target)^exponent: "
            "FILE:COLUMN in milliseconds, or a stored latency such as latency[images=32].",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        float | None,
        typer.Option(help="Of the reward: milliseconds; 75 by default.", show_default=False),
    ] = None,
    exponent: Annotated[
        float | None, typer.Option(help="Of the reward; -0.07 by default.", show_default=False)
    ] = None,
    percentile: Annotated[
        float | None, typer.Option(help="Percentile of the truth that PQETP thresholds at.")
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="The same, as a value of truth.")] = None,
    output: Annotated[
        str, typer.Option("--format", help="table, markdown, latex, csv or json.")
    ] = "table",
    plot: Annotated[
        Path | None, typer.Option(help="Write a scatter plot here (.png, .pdf).")
    ] = None,
) -> None:
    """Rank stored proxies against a truth: Kendall tau with its interval, Pearson, PQETP, and cost.

    Example: `nasproxy rank --store s.db --truth nasbench101_cells.parquet:test_accuracy_108`
    """
    from nasproxy import ranking
    from nasproxy.ranking import plots, reference
    from nasproxy.store.merging import together

    if plot is not None:
        plots.check_path(plot)  # Before the rest is read.
    settings = {"target": target, "exponent": exponent}
    settings = {name: value for name, value in settings.items() if value is not None}
    if settings and latency is None:
        raise SettingError(f"--{next(iter(settings))} is of a reward: give --latency as well")
    with together(store) as opened:
        rows = {"where": _where(where), "average": average}
        values = reference.read_truth(truth, opened, key=key, **rows)
        if latency is not None:
            milliseconds = reference.read_latency(latency, opened, key=key, **rows)
            values = reference.reward(values, milliseconds, **settings)
        table = ranking.rank_store(opened, values, percentile=percentile, threshold=threshold)
        typer.echo(harmless(ranking.render(table, output)))
        if plot is not None:
            ranking.plot_store(opened, values, plot)


def _where(given: list[str] | None) -> dict[str, str]:
    """``COLUMN=VALUE`` of several options."""
    chosen: dict[str, str] = {}
    for text in given or []:
        column, equals, value = text.partition("=")
        if not (column and equals):
            raise SettingError(f"--where {text!r}: write COLUMN=VALUE, such as dataset=cifar10")
        if column in chosen:
            raise SettingError(f"--where {column} is given twice: give each column once")
        chosen[column] = value
    return chosen


@truth_app.command("import", cls=Command)
def import_truth(
    source: Annotated[
        Path, typer.Argument(help="nasbench_only108.tfrecord or nasbench_full.tfrecord")
    ],
    out: Annotated[Path, typer.Option(help="Table to write: .parquet or .csv.")],
    partial: Annotated[
        bool, typer.Option("--partial", help="Take a file that does not hold every cell and trial.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Turn the official NAS-Bench-101 file into a table, without TensorFlow; checks every CRC."""
    from nasproxy.progress import fraction
    from nasproxy.truth import check_table, write_table
    from nasproxy.truth.nasbench101_file import import_nasbench101

    check_table(out)  # Before minutes of reading.
    with fraction(f"reading {source.name}", shown=not quiet) as advance:
        frame = import_nasbench101(source, progress=advance, partial=partial)
    write_table(frame, out)
    typer.echo(f"{len(frame)} cells in {out}: {', '.join(frame.columns)}")
