"""Ranking stored scores, and the tables of truth to rank them against."""

from pathlib import Path
from typing import Annotated, Any

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
    given: Annotated[
        list[str] | None,
        typer.Option(
            help="Baseline that τ is also told given: counts (all its columns jointly), "
            "counts[conv3x3], FILE:COLUMN; again for more.",
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(help="Baseline, such as params, that each gain is over.", show_default=False),
    ] = None,
    ceiling: Annotated[
        str | None,
        typer.Option(
            help="FILE:COLUMN of another measurement of the truth, such as one training: its τ is "
            "what noise leaves to reach.",
            show_default=False,
        ),
    ] = None,
    failures: Annotated[
        str,
        typer.Option(help="drop: leave out what has no score; last: rank it below all others."),
    ] = "drop",
    keep: Annotated[
        float | None,
        typer.Option(
            help="Instead of the table: the share that each score keeps, of which --then picks.",
            show_default=False,
        ),
    ] = None,
    then: Annotated[
        str | None,
        typer.Option(
            help="FILE:COLUMN or a stored proxy, such as 12 epochs' accuracy: picks of what --keep "
            "leaves.",
            show_default=False,
        ),
    ] = None,
    hybrid: Annotated[
        str | None,
        typer.Option(
            help="Instead of the table: scores to mix, separated by commas, each a stored proxy or "
            "FILE:COLUMN.",
            show_default=False,
        ),
    ] = None,
    fit_on: Annotated[
        str | None,
        typer.Option(
            help="FILE:COLUMN or a stored proxy that --hybrid is fitted to.", show_default=False
        ),
    ] = None,
    output: Annotated[
        str, typer.Option("--format", help="table, markdown, latex, csv or json.")
    ] = "table",
    plot: Annotated[
        Path | None, typer.Option(help="Write a scatter plot here (.png, .pdf).")
    ] = None,
) -> None:
    """Rank stored proxies against a truth: Kendall tau with its interval, Pearson, PQETP, and cost.

    Scores of several seeds are one row: means over the seeds, intervals over architectures and
    seeds. Example: `nasproxy rank --store s.db --truth nasbench101_cells.parquet:test_accuracy_108
    --given counts --against params`
    """
    from nasproxy import ranking
    from nasproxy.ranking import plots, reference, screening
    from nasproxy.store.merging import together

    if plot is not None:
        plots.check_path(plot)  # Before the rest is read.
    if (keep is None) != (then is None):
        raise SettingError("--keep and --then belong together: give a share, and what picks of it")
    if (hybrid is None) != (fit_on is None):
        raise SettingError("--hybrid and --fit-on belong together: give scores, and what to fit to")
    if keep is not None and hybrid is not None:
        raise SettingError("--keep and --hybrid are two tables: give one of them")
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

        def read(text: str) -> Any:
            return reference.read_scores_of(text, opened, key, **rows)

        if keep is not None and then is not None:
            columns = {str(s.name): s for s in reference.all_scores(opened, values)}
            found = screening.reduction(columns, values, read(then), keep=keep, failures=failures)
            said = f"Found by {then} in the {keep:.0%} that a score keeps, in units of the truth"
            typer.echo(harmless(ranking.plain(found, output, said)))
            return
        if hybrid is not None and fit_on is not None:
            columns = {str(s.name): s for s in map(read, filter(None, hybrid.split(",")))}
            found = screening.hybrid(columns, values, read(fit_on), failures=failures)
            said = f"Scores alone and together, fitted to {fit_on}, judged by the truth"
            typer.echo(harmless(ranking.plain(found, output, said)))
            return
        beside = ranking.Beside(
            [
                c
                for text in given or []
                for c in reference.read_columns_of(text, opened, key, **rows)
            ],
            None if against is None else _only(reference, against, opened, key, rows),
            None if ceiling is None else _only(reference, ceiling, opened, key, rows),
        )
        table = ranking.rank_store(
            opened,
            values,
            percentile=percentile,
            threshold=threshold,
            beside=beside,
            failures=failures,
        )
        typer.echo(harmless(ranking.render(table, output)))
        if plot is not None:
            ranking.plot_store(opened, values, plot)


def _only(reference: Any, text: str, store: Any, key: str | None, rows: dict[str, Any]) -> Any:
    """One column; of a proxy with several its score."""
    return reference.read_columns_of(text, store, key, **rows)[0]


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
