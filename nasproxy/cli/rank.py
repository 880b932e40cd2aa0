"""Ranking stored scores, and the tables of truth to rank them against."""

from pathlib import Path
from typing import Annotated

import typer

from nasproxy.cli.app import Command, app, truth_app
from nasproxy.cli.options import (
    AverageOption,
    KeyOption,
    QuietOption,
    StoresOption,
    TruthOption,
    WhereOption,
)
from nasproxy.cli.parsing import size_of, where_of
from nasproxy.cli.printing import harmless
from nasproxy.errors import SettingError


@app.command(cls=Command)
def rank(
    store: StoresOption,
    truth: TruthOption,
    key: KeyOption = None,
    where: WhereOption = None,
    average: AverageOption = False,
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
    failures: Annotated[
        str, typer.Option(help="drop: failed architectures are left out; last: they rank last.")
    ] = "drop",
    given: Annotated[
        str | None,
        typer.Option(
            help="Also τ among architectures that this does not tell apart: a stored proxy, all "
            "its columns jointly (counts), or columns, as counts[conv3x3],params.",
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="Also the paired gain in τ over this baseline: a stored proxy such as params, or "
            "FILE:COLUMN.",
            show_default=False,
        ),
    ] = None,
    ceiling: Annotated[
        str | None,
        typer.Option(
            help="Also the share of this measure's own τ that each reaches: FILE:COLUMN, as "
            "validation accuracy of a full training, or a stored proxy.",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        float | None,
        typer.Option(
            help="Search-space reduction: the share, above 0 and at most 1, that is kept by score; "
            "--then picks among it.",
            show_default=False,
        ),
    ] = None,
    then: Annotated[
        str | None,
        typer.Option(
            help="What picks among the share that is kept: FILE:COLUMN or a stored proxy.",
            show_default=False,
        ),
    ] = None,
    hybrid: Annotated[
        str | None,
        typer.Option(
            help="Instead of the ranking, how well these rank together: stored proxies and "
            "FILE:COLUMNs, separated by commas; their mean rank, and a linear fit on --fit-on.",
            show_default=False,
        ),
    ] = None,
    fit_on: Annotated[
        str | None,
        typer.Option(
            help="The label that a hybrid is fitted on, by parts: never on those it is judged on.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str, typer.Option("--format", help="table, markdown, latex, html, csv or json.")
    ] = "table",
    plot: Annotated[
        Path | None, typer.Option(help="Write a scatter plot here (.png, .pdf, .svg).")
    ] = None,
    panel: Annotated[
        list[str] | None,
        typer.Option(
            help="Of the plot: a proxy to show, as the table names it; again for more, six at "
            "most. One makes one panel, several a grid.",
            show_default=False,
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="Of the plot: what stands above the panel; once for each --panel.",
            show_default=False,
        ),
    ] = None,
    truth_label: Annotated[
        str, typer.Option(help="Of the plot: the truth's axis, with units.", show_default=False)
    ] = "",
    size: Annotated[
        str | None,
        typer.Option(help="Of the plot: WIDTHxHEIGHT in inches, as 6.75x2.5.", show_default=False),
    ] = None,
    columns: Annotated[
        int | None, typer.Option(help="Of the plot: panels in a row.", show_default=False)
    ] = None,
    draw: Annotated[
        int | None,
        typer.Option(help="Also draw so many of the best, on one sheet.", show_default=False),
    ] = None,
    draw_by: Annotated[
        str | None,
        typer.Option(
            help="The best by this stored proxy; by default, the one of the highest tau.",
            show_default=False,
        ),
    ] = None,
    draw_to: Annotated[Path, typer.Option(help="Where the sheet goes (.svg).")] = Path("best.svg"),
) -> None:
    """Rank stored proxies against a truth: Kendall tau with its interval, Pearson, PQETP, and cost.

    Seeds of one proxy are ranked together; intervals are over architectures and seeds.

    Example: `nasproxy rank --store s.db --truth nasbench101_cells.parquet:test_accuracy_108`

    More than parameters and counts of layers tell, and how much of what training reaches:
    `--given counts --against params --ceiling nasbench101_budgets.parquet:validation_accuracy_108`

    A search that trains the best 30 % for 12 epochs:
    `--keep .3 --then nasbench101_budgets.parquet:validation_accuracy_12`

    Together with a training of 4 epochs: `--hybrid
    nngp,nasbench101_budgets.parquet:validation_accuracy_4 --fit-on
    nasbench101_budgets.parquet:validation_accuracy_12`

    A figure for a column of a paper: `--plot figure.pdf --panel nngp --label NNGP --panel params
    --label parameters --truth-label "test accuracy" --size 6.75x2.6`

    The ten best by the NNGP, drawn: `--draw 10 --draw-by nngp --draw-to best.svg`
    """
    from nasproxy import ranking
    from nasproxy.drawing import svg
    from nasproxy.ranking import plots, reference
    from nasproxy.store.merging import together

    look = {"panel": panel, "label": label, "truth-label": truth_label}
    look |= {"size": size, "columns": columns}
    if plot is not None:
        plots.check_path(plot)  # Before the rest is read.
    elif styled := [name for name, value in look.items() if value]:
        raise SettingError(f"--{styled[0]} is of a plot: give --plot as well")
    if draw is not None:
        svg.check_path(draw_to)
    elif draw_by is not None:
        raise SettingError("--draw-by says which are the best: give --draw N as well")
    inches = None if size is None else size_of(size)
    settings = {"target": target, "exponent": exponent}
    settings = {name: value for name, value in settings.items() if value is not None}
    if settings and latency is None:
        raise SettingError(f"--{next(iter(settings))} is of a reward: give --latency as well")
    _check_together(keep, then, hybrid, fit_on)
    beside = {"given": given, "against": against, "ceiling": ceiling, "keep": keep, "then": then}
    asked = [name for name, value in beside.items() if value is not None]
    asked += ["plot"] * (plot is not None) + ["draw"] * (draw is not None)
    asked += ["failures"] * (failures != "drop")
    if hybrid is not None and asked:
        raise SettingError(f"--hybrid has a table of its own: leave out --{asked[0]}")
    with together(store) as opened:
        rows = {"where": where_of(where), "average": average}
        values = reference.read_truth(truth, opened, key=key, **rows)
        if latency is not None:
            milliseconds = reference.read_latency(latency, opened, key=key, **rows)
            values = reference.reward(values, milliseconds, **settings)
        if hybrid is not None and fit_on is not None:
            table = ranking.hybrid_store(opened, values, hybrid, fit_on, key=key, **rows)
            typer.echo(harmless(ranking.render_hybrid(table, output)))
            return
        table = ranking.rank_store(
            opened,
            values,
            percentile=percentile,
            threshold=threshold,
            failures=failures,
            key=key,
            **beside,
            **rows,
        )
        typer.echo(harmless(ranking.render(table, output)))
        if plot is not None:
            ranking.plot_store(
                opened,
                values,
                plot,
                proxies=panel or (),
                labels=label or (),
                truth_label=truth_label,
                size=inches,
                columns=columns,
            )
        if draw is not None:
            ranking.draw_store(opened, values, draw, draw_by).save(draw_to)


def _check_together(
    keep: float | None, then: str | None, hybrid: str | None, fit_on: str | None
) -> None:
    for pair in ({"keep": keep, "then": then}, {"hybrid": hybrid, "fit-on": fit_on}):
        given = [name for name, value in pair.items() if value is not None]
        if len(given) == 1:
            (missing,) = pair.keys() - given
            raise SettingError(f"--{given[0]} is given without --{missing}: give both")


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
