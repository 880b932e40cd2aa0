"""Searching a space by a proxy."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from nasproxy.cli.app import Command, app
from nasproxy.cli.failures import NOTHING_SCORED, commonest
from nasproxy.cli.options import (
    DataDirOption,
    DataOption,
    QuietOption,
    RetryOption,
    SeedOption,
    SpaceArgument,
    TimeoutOption,
    WidthOption,
)
from nasproxy.cli.printing import console, harmless


@app.command(cls=Command)
def search(
    space: SpaceArgument,
    proxy: Annotated[str, typer.Option(help="Proxy to maximise, with settings.")],
    strategy: Annotated[
        str, typer.Option(help="random, evolution, or evolution:population=50,sample=10.")
    ] = "evolution",
    budget: Annotated[int, typer.Option(help="Architectures to ask for.")] = 200,
    seed: SeedOption = 0,
    data: DataOption = "digits",
    data_dir: DataDirOption = None,
    width: WidthOption = 16,
    store: Annotated[
        Path | None, typer.Option(help="Keep scores here; a killed search resumes.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also write the trace: .csv or .parquet.")
    ] = None,
    retry_failed: RetryOption = False,
    timeout: TimeoutOption = None,
    quiet: QuietOption = False,
) -> None:
    """Search a space for the architecture that a proxy scores best.

    Example: `nasproxy search nasbench101 --proxy nngp --budget 200 --store search.db`
    """
    from nasproxy.named import data_of, proxy_of, space_of
    from nasproxy.search import search as run
    from nasproxy.truth import check_table, write_table

    if out is not None:
        check_table(out)  # Before anything is computed.
    chosen = space_of(space)
    trace = run(
        chosen,
        proxy_of(proxy, width),
        data_of(data, data_dir),
        strategy=strategy,
        budget=budget,
        seed=seed,
        store=store,
        retry_failed=retry_failed,
        timeout=timeout,
        progress=not quiet,
    )
    if out is not None:
        write_table(trace, out)
    _show_trace(trace)


def _show_trace(trace: Any) -> None:
    out = console()
    improved = trace[trace["best_architecture"] == trace["architecture"]]
    improved = improved.drop_duplicates("best_architecture")
    if improved.empty:
        why = commonest(trace.attrs["failed"])
        said = f"none of {len(trace)} architectures could be scored, {why}"
        out.print(harmless(f"{said}; --retry-failed computes them again"), soft_wrap=True)
        raise typer.Exit(NOTHING_SCORED)
    table = Table(title=f"best so far over {len(trace)} architectures")
    for column in ("step", "score", "architecture"):
        table.add_column(column, justify="left" if column == "architecture" else "right")
    for _, row in improved.iterrows():
        table.add_row(str(row["step"]), f"{row['score']:.6g}", harmless(str(row["architecture"])))
    out.print(table)
    out.print(harmless(improved["architecture_json"].iloc[-1]), soft_wrap=True)
