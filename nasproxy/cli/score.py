"""Scoring architectures, and the demonstration of it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from nasproxy.cli.app import Command, app
from nasproxy.cli.failures import NOTHING_SCORED, commonest, old
from nasproxy.cli.options import (
    DataDirOption,
    DataOption,
    ProxyOption,
    QuietOption,
    RetryOption,
    SampleSeedOption,
    SeedsOption,
    SpaceArgument,
    TimeoutOption,
    WidthOption,
)
from nasproxy.cli.parsing import architectures_of, seeds_of, shard_of, workers_of
from nasproxy.cli.printing import console, harmless, tables


@app.command(cls=Command)
def score(
    space: SpaceArgument,
    proxy: ProxyOption,
    sample: Annotated[
        int | None,
        typer.Option(
            help="Draw this many architectures, of the space or of the file.", show_default=False
        ),
    ] = None,
    architectures: Annotated[
        Path | None,
        typer.Option(
            help="File with one architecture a line, a key or the space's JSON; or a .parquet or "
            ".csv table of the space's benchmark."
        ),
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            help="Every combination of values instead, an axis each: --grid depth=1,2,5 "
            "--grid width=64,256; for fully_connected.",
            show_default=False,
        ),
    ] = None,
    sampler: Annotated[str | None, typer.Option(help="How to draw; `spaces` lists them.")] = None,
    sample_seed: SampleSeedOption = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=2**63 - 1,
            help="Of the subsets and the initialisations.",
            show_default="0",
        ),
    ] = None,
    seeds: SeedsOption = None,
    data: DataOption = "digits",
    data_dir: DataDirOption = None,
    width: WidthOption = 16,
    store: Annotated[
        Path | None, typer.Option(help="Keep scores here; a second run computes what is missing.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write a .csv or .parquet table.")] = None,
    shard: Annotated[
        str | None,
        typer.Option(help="I/N: score every N-th architecture from the I-th, counting from 0."),
    ] = None,
    retry_failed: RetryOption = False,
    timeout: TimeoutOption = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Processes of this machine to share the work, a thread each; 0 for threads of "
            "one.",
            show_default="as many as cores where that is faster: for 1,500 NNGPs or more of "
            "images up to 16×16",
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler whose workers share the work: tcp://HOST:8786; needs "
            "nasproxy[cluster].",
            show_default=False,
        ),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Score architectures by one or more proxies, at one seed or several.

    Examples: `nasproxy score nasbench101 --sample 50 --proxy nngp --proxy params --store s.db`;
    `nasproxy score nasbench101 --sample 50 --seeds 0,1,2 --proxy nngp --proxy counts --store s.db`
    """
    from nasproxy.named import data_of, proxies_of, space_of
    from nasproxy.networks.features import engine_name
    from nasproxy.scoring import checked_seeds
    from nasproxy.scoring import score as score_all
    from nasproxy.scoring.automatic import processes
    from nasproxy.truth import check_table, write_table

    if out is not None:
        check_table(out)  # Before anything is computed.
    chosen = space_of(space)
    proxies = [one for text in proxy for one in proxies_of(text, width)]
    several = checked_seeds(seeds_of(seed, seeds))
    first = several if isinstance(several, int) else several[0]
    drawn_from, drawn = architectures_of(
        chosen, sample, architectures, grid, sampler, first, sample_seed
    )
    if shard is not None:
        index, count = shard_of(shard)
        drawn_from = drawn_from[index::count]
    loaded = data_of(data, data_dir)
    if workers is None and cluster is None:
        count = len(drawn_from) * (1 if isinstance(several, int) else len(several))
        workers = processes(proxies, count, loaded.image_shape)
    if not quiet:
        shared = f", by {workers} processes of a thread each" if workers else ""
        console(stderr=True).print(f"networks run by {engine_name()}{shared}")
    with workers_of(workers or None, cluster) as crew:
        frame = score_all(
            drawn_from,
            chosen,
            proxies,
            loaded,
            seeds=several,
            store=store,
            drawn=drawn,
            retry_failed=retry_failed,
            timeout=timeout,
            workers=crew,
            progress=not quiet,
        )
    if out is not None:
        write_table(frame, out)
    _show_scores(frame, proxies, store)


def _show_scores(frame: Any, proxies: list[Any], store: Path | None) -> None:
    """The best architectures by the first proxy, and where everything is."""
    shown = [c for c in frame.columns if not c.endswith((" seconds", " flops")) and "[" not in c]
    scores, by = frame[shown], shown[0]
    if "seed" in frame.index.names:
        seeds = frame.index.get_level_values("seed").nunique()
        scores = scores.groupby(level="architecture", sort=False).mean()
        by += f", mean of {seeds} seeds" if seeds > 1 else ""
    title = f"{min(10, len(scores))} best of {len(scores)} architectures by {by}"
    best = scores.sort_values(shown[0], ascending=False, kind="stable").head(10)
    rows = [
        [harmless(str(key)), *(f"{value:.6g}" for value in row)] for key, row in best.iterrows()
    ]
    out = console()
    for table in tables(title, ["architecture", *map(harmless, shown)], rows, out.width):
        out.print(table)
    for column in shown:
        failed = int(frame[column].isna().sum())
        seconds = frame[f"{column} seconds"].median()
        line = f"{column}: median {seconds:.3g} s an architecture"
        if failed:
            before = frame.attrs["failed before"][column]
            line += f", {failed} failed, {commonest(frame.attrs['failed'][column])}{old(before)}"
        out.print(harmless(line), soft_wrap=True)
    if store is not None:
        out.print(f"stored in {store}; rank with: nasproxy rank --store {store} --truth …")
    if len(frame) and frame[shown].isna().all(axis=None):
        raise typer.Exit(NOTHING_SCORED)


@app.command(cls=Command)
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the store, the table and the plot.")] = Path(
        "demo"
    ),
    cells: Annotated[int, typer.Option(help="Cells to score and train.")] = 60,
    quiet: QuietOption = False,
) -> None:
    """The main job on embedded data: score cells, train them, rank the proxies, draw the result."""
    from nasproxy.demo import run

    run(out, cells, progress=not quiet)
