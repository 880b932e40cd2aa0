"""Searching a space by a proxy."""

from collections.abc import Iterator
from contextlib import contextmanager
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
from nasproxy.errors import SettingError

_SHOWN = 20  # rows of a front in a terminal


@app.command(cls=Command)
def search(
    space: SpaceArgument,
    proxy: Annotated[
        str | None,
        typer.Option(help="Proxy to maximise, with settings.", show_default=False),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="random, evolution, or evolution:population=50,sample=10; with --optuna also tpe "
            "and nsga2, of spaces that are products of choices.",
            show_default="evolution",
        ),
    ] = None,
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
    optuna: Annotated[
        str | None,
        typer.Option(
            help="Search as a study of Optuna's, kept and resumed here: a file, one ending in "
            ".journal that machines may share, or the URL of a database. Needs nasproxy[optuna].",
            show_default=False,
        ),
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            help="With --optuna, what to maximise: a proxy, again for more.", show_default=False
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(help="Name of the study in its storage.", show_default="nasproxy"),
    ] = None,
    screen: Annotated[
        str | None,
        typer.Option(
            help="With --optuna, a cheap proxy: only what it ranks high is asked for the "
            "objectives.",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        float | None,
        typer.Option(
            help="Share of the space that the screen lets pass; 0.3 by default.",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="With --optuna, draw the Pareto front, or one objective's history (.png, .pdf, "
            ".svg).",
            show_default=False,
        ),
    ] = None,
    retry_failed: RetryOption = False,
    timeout: TimeoutOption = None,
    quiet: QuietOption = False,
) -> None:
    """Search a space for the architecture that a proxy scores best, or several.

    Examples: `nasproxy search nasbench101 --proxy nngp --budget 200 --store search.db`;
    `nasproxy search nasbench201 --optuna study.db --objective nngp --objective latency`
    """
    from nasproxy.named import data_of, proxy_of, space_of
    from nasproxy.search import search as run
    from nasproxy.truth import check_table, write_table

    if out is not None:
        check_table(out)  # Before anything is computed.
    chosen = space_of(space)
    if optuna is not None:
        if proxy is not None:
            raise SettingError(f"--proxy {proxy} with --optuna: give it as --objective {proxy}")
        if keep is not None and screen is None:
            raise SettingError(f"--keep {keep:g} is of a screen: give --screen PROXY too")
        if not objective:
            raise SettingError("--optuna is given without --objective: give a proxy, or several")
        settings = {"name": study, "keep": keep}
        _study(
            chosen,
            [proxy_of(text, width) for text in objective],
            data_of(data, data_dir),
            out,
            plot,
            storage=optuna,
            strategy=strategy,
            budget=budget,
            seed=seed,
            store=store,
            screen=None if screen is None else proxy_of(screen, width),
            retry_failed=retry_failed,
            timeout=timeout,
            progress=not quiet,
            **{name: value for name, value in settings.items() if value is not None},
        )
        return
    of_studies = {"objective": objective, "study": study, "screen": screen}
    for name, value in (of_studies | {"keep": keep, "plot": plot}).items():
        if value:
            raise SettingError(f"--{name} is of a study of Optuna's: give --optuna FILE too")
    if proxy is None:
        raise SettingError("give --proxy, what to maximise; or --optuna FILE and --objective")
    trace = run(
        chosen,
        proxy_of(proxy, width),
        data_of(data, data_dir),
        strategy=strategy or "evolution",
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


def _study(
    space: Any,
    proxies: list[Any],
    data: Any,
    out: Path | None,
    plot: Path | None,
    **settings: Any,
) -> None:
    """Runs a study, writes and prints what it found."""
    from nasproxy import studies
    from nasproxy.ranking.plots import check_path
    from nasproxy.truth import write_table

    if plot is not None:
        check_path(plot)
    with _quiet_optuna():
        found = studies.study(space, proxies, data, **settings)
    table = studies.trials(found)
    if out is not None:
        write_table(table, out)
    if plot is not None and not table[table.attrs["names"]].isna().all(axis=None):
        studies.plot(found, plot)
    _show_front(table, studies.front(found))


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Without a line of Optuna's for each trial, its way without a bar."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _show_front(table: Any, front: Any) -> None:
    out = console()
    states = ", ".join(f"{n} {state}" for state, n in table["state"].value_counts().items())
    if front.empty:
        failed = table["failed"].dropna().value_counts().to_dict()
        why = f", {commonest(failed)}" if failed else ""
        said = f"none of {len(table)} trials has a score ({states}){why}"
        out.print(harmless(said), soft_wrap=True)
        raise typer.Exit(NOTHING_SCORED)
    names = table.attrs["names"]
    what = "Pareto front" if len(names) > 1 else "best"
    shown = Table(title=f"{what} of {len(table)} trials ({states})")
    shown.add_column("trial", justify="right")
    for name in names:
        shown.add_column(harmless(name), justify="right")
    shown.add_column("architecture", overflow="fold")
    for _, row in front.head(_SHOWN).iterrows():
        values = [f"{row[name]:.6g}" for name in names]
        shown.add_row(str(row["trial"]), *values, harmless(str(row["architecture"])))
    out.print(shown)
    if len(front) > _SHOWN:
        out.print(f"and {len(front) - _SHOWN} more: --out FILE writes all")


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
