"""A ranking as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from nasproxy.cli.app import Command, app
from nasproxy.cli.options import (
    AverageOption,
    KeyOption,
    StoresOption,
    TruthOption,
    WhereOption,
)
from nasproxy.cli.parsing import where_of


@app.command(cls=Command)
def page(
    store: StoresOption,
    truth: TruthOption,
    out: Annotated[Path, typer.Option(help="The .html file to write.")],
    title: Annotated[str, typer.Option(help="Of the page.", show_default=False)] = "",
    claims: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of reports that `reproduce` wrote, to show their claims and verdicts; "
            "again for more.",
            show_default=False,
        ),
    ] = None,
    key: KeyOption = None,
    where: WhereOption = None,
    average: AverageOption = False,
    given: Annotated[
        str | None, typer.Option(help="As of `rank`: also τ given this.", show_default=False)
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="As of `rank`: also gains over this.", show_default=False)
    ] = None,
    ceiling: Annotated[
        str | None, typer.Option(help="As of `rank`: also shares of this.", show_default=False)
    ] = None,
    failures: Annotated[str, typer.Option(help="As of `rank`: drop or last.")] = "drop",
) -> None:
    """Write a ranking as one HTML file, to look into: it needs no network, and runs in a browser.

    Any two columns against each other, τ of what is selected, every architecture drawn.

    Example: `nasproxy page --store s.db --truth nasbench101_cells.parquet:test_accuracy_108 --out \
ranking.html`
    """
    from nasproxy.page import check_path, read_claims, write_page
    from nasproxy.ranking import reference
    from nasproxy.reproduce.provenance import facts
    from nasproxy.store.merging import together

    check_path(out)  # Before the rest is read.
    told = [claim for folder in claims or [] for claim in read_claims(folder)]
    with together(store) as opened:
        rows = {"where": where_of(where), "average": average}
        values = reference.read_truth(truth, opened, key=key, **rows)
        write_page(
            opened,
            values,
            out,
            title=title,
            claims=told,
            provenance=facts("nasproxy"),
            given=given,
            against=against,
            ceiling=ceiling,
            failures=failures,
            key=key,
            **rows,
        )
    typer.echo(f"{out}: {out.stat().st_size / 2**20:.1f} MiB")
