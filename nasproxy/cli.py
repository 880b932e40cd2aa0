"""The command line: a thin shell over the functions of the package."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from nasproxy.errors import NasproxyError, SettingError

app = typer.Typer(
    help="Score neural architectures without training them, and say how good the signal is.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
truth_app = typer.Typer(help="Benchmark tables: published accuracies to rank proxies against.")
app.add_typer(truth_app, name="truth", no_args_is_help=True)

SpaceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SPACE", help="Search space, with settings if wanted: nasbench101:stacks=2"
    ),
]
DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        help="digits, a TFDS name (cifar10), an .npz, a prepared folder or one of pictures; with "
        "settings: imagenet2012:resolution=224,labels=100.",
    ),
]
DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", help="Where TFDS keeps prepared data sets.")
]
SeedOption = Annotated[
    int, typer.Option(help="Of the sample, the subsets and the initialisations.")
]
WidthOption = Annotated[
    int,
    typer.Option(
        help="Stem channels of networks that are run, where a proxy names none. Parameters and "
        "FLOPs are always those of the benchmark's own width (nasbench101: 128)."
    ),
]
ProxyOption = Annotated[
    list[str],
    typer.Option(
        "--proxy",
        help="Proxy with settings, again for more: nngp:preset=paper,n_train=400,ensemble=2. "
        "Several sizes at once: n_train=100/200/400.",
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]


@app.command()
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
    seed: SeedOption = 0,
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
    retry_failed: Annotated[bool, typer.Option(help="Compute failed scores again.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Score architectures by one or more proxies.

    Example: `nasproxy score nasbench101 --sample 50 --proxy nngp --proxy params --store s.db`
    """
    from nasproxy.scoring import score as score_all
    from nasproxy.truth import write_table

    chosen = _space(space)
    proxies = [_proxy(text, width) for text in proxy]
    drawn_from, drawn = _architectures(chosen, sample, architectures, grid, sampler, seed)
    if shard is not None:
        index, count = _shard(shard)
        drawn_from = drawn_from[index::count]
    loaded = _data(data, data_dir)
    frame = score_all(
        drawn_from,
        chosen,
        proxies,
        loaded,
        seed=seed,
        store=store,
        drawn=drawn,
        retry_failed=retry_failed,
        progress=not quiet,
    )
    if out is not None:
        write_table(frame, out)
    _show_scores(frame, proxies, store)


def _show_scores(frame: Any, proxies: list[Any], store: Path | None) -> None:
    """The best architectures by the first proxy, and where everything is."""
    shown = [c for c in frame.columns if not c.endswith((" seconds", " flops")) and "[" not in c]
    table = Table(title=f"{min(10, len(frame))} best of {len(frame)} architectures by {shown[0]}")
    table.add_column("architecture")
    for column in shown:
        table.add_column(column, justify="right")
    best = frame.sort_values(shown[0], ascending=False, kind="stable").head(10)
    for key, row in best[shown].iterrows():
        table.add_row(str(key), *(f"{value:.6g}" for value in row))
    console = Console()
    console.print(table)
    for column in shown:
        failed = int(frame[column].isna().sum())
        seconds = frame[f"{column} seconds"].median()
        note = f", {failed} failed (their reasons are in the store)" if failed else ""
        console.print(f"{column}: median {seconds:.3g} s an architecture{note}")
    if store is not None:
        console.print(f"stored in {store}; rank with: nasproxy rank --store {store} --truth …")


@app.command()
def fit(
    kernel: Annotated[str, typer.Option(help="ntk or nngp, of networks of infinite width.")] = (
        "ntk"
    ),
    depth: Annotated[int, typer.Option(help="Hidden layers; a linear readout follows.")] = 3,
    activation: Annotated[str, typer.Option(help="relu or erf.")] = "relu",
    weight_variance: Annotated[float, typer.Option(help="σ_w², of weights times fan-in.")] = 2.0,
    bias_variance: Annotated[float, typer.Option(help="σ_b².")] = 0.01,
    data: DataOption = "digits",
    data_dir: DataDirOption = None,
    n_train: Annotated[
        int | None, typer.Option(help="Training images, class-balanced; without it, all.")
    ] = None,
    n_valid: Annotated[
        int | None, typer.Option(help="Validation images, class-balanced; without it, all.")
    ] = None,
    solver: Annotated[
        str,
        typer.Option(
            help="eigenpro (any number of images: kernel rows are computed as they are needed), "
            "cg (likewise, squared loss with a ridge; --top columns make its preconditioner) or "
            "ridge (one Cholesky factorisation: exact, memory 12 n² bytes)."
        ),
    ] = "eigenpro",
    loss: Annotated[
        str, typer.Option(help="squared or cross_entropy, the latter with eigenpro only.")
    ] = "squared",
    top: Annotated[
        int, typer.Option(help="Eigenvalues that eigenpro damps: more make fewer iterations.")
    ] = 500,
    subsample: Annotated[
        int | None,
        typer.Option(help="Images that eigenvectors are taken from; at first 5·top or 2,000."),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(help="Images a step; without it, what the spectrum suggests.")
    ] = None,
    step: Annotated[
        float | None, typer.Option(help="Step length; without it, what the spectrum allows.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the images at most.")] = 100,
    train_accuracy: Annotated[
        float | None, typer.Option(help="Stop at this training accuracy, such as 0.99.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Stop when the gradient falls to this part of the first.")
    ] = 1e-2,
    ridge: Annotated[
        float | None,
        typer.Option(
            help="Regulariser, as a fraction of the kernel's mean eigenvalue; by itself 0 with "
            "eigenpro, 0.001 with cg and ridge."
        ),
    ] = None,
    memory: Annotated[
        float, typer.Option(help="GiB up to which eigenpro keeps the kernel matrix.")
    ] = 4.0,
    seed: Annotated[int, typer.Option(help="Of subsets and batches.")] = 0,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Keep eigenpro's state here; the same command goes on from it."),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Fit the kernel of wide fully-connected networks to images.

    Examples: `nasproxy fit --depth 5`;
    `nasproxy fit --depth 5 --loss cross_entropy --train-accuracy 0.99 --top 200`;
    `nasproxy fit --data cifar10 --data-dir DIR --n-train 10000 --n-valid 5000 --batch 5000`.
    """
    from nasproxy import data as datasets
    from nasproxy import fitting
    from nasproxy.kernels import FullyConnected
    from nasproxy.solvers import ConjugateGradient, EigenPro, Ridge

    function = FullyConnected(depth, kernel, activation, weight_variance, bias_variance)
    if solver == "eigenpro":
        chosen: Any = EigenPro(
            top,
            subsample,
            loss,
            ridge or 0.0,
            batch,
            step,
            epochs,
            train_accuracy,
            tolerance,
            memory=memory,
            seed=seed,
        )
    elif solver not in ("ridge", "cg"):
        raise SettingError(f"solver {solver!r}: choose eigenpro, cg or ridge")
    elif loss != "squared":
        raise SettingError(f"--loss {loss} is for --solver eigenpro, not {solver}")
    else:
        damping = 1e-3 if ridge is None else ridge
        chosen = Ridge(damping)
        if solver == "cg":
            chosen = ConjugateGradient(top, damping, tolerance, memory=memory, seed=seed)
    loaded = datasets.load(data, data_dir=data_dir)
    report = fitting.fit(
        loaded,
        function,
        chosen,
        n_train=n_train,
        n_valid=n_valid,
        seed=seed,
        checkpoint=checkpoint,
        progress=not quiet,
    )
    table = Table(title=f"{kernel}, {activation}, depth {depth}, {solver}, {loss}, {loaded.name}")
    table.add_column("")
    table.add_column("", justify="right")
    for name, value in dataclasses.asdict(report).items():
        unit = " (GiB)" if name == "peak_memory" else ""
        shown = f"{value:.4g}" if isinstance(value, float) else "–" if value is None else str(value)
        table.add_row(name.replace("_", " ") + unit, shown)
    Console().print(table)


@app.command()
def rank(
    store: Annotated[Path, typer.Option(help="Store that `score` wrote.")],
    truth: Annotated[
        str,
        typer.Option(
            help="FILE:COLUMN of a .parquet or .csv table, or a stored proxy such as "
            "training:epochs=4."
        ),
    ],
    key: Annotated[str | None, typer.Option(help="Key column of the truth table.")] = None,
    percentile: Annotated[
        float | None, typer.Option(help="Percentile of the truth that PQETP thresholds at.")
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="The same, as a value of truth.")] = None,
    output: Annotated[
        str, typer.Option("--format", help="table, csv, markdown or json.")
    ] = "table",
    plot: Annotated[
        Path | None, typer.Option(help="Write a scatter plot here (.png, .pdf).")
    ] = None,
) -> None:
    """Rank stored proxies against a truth: Kendall tau with its interval, Pearson, PQETP, and cost.

    Example: `nasproxy rank --store s.db --truth nasbench101_cells.parquet:test_accuracy_108`
    """
    from nasproxy import ranking
    from nasproxy.store import Store

    if not store.exists():
        raise SettingError(
            f"there is no store {store}: make one with nasproxy score --store {store}"
        )
    with Store(store) as opened:
        values = ranking.read_truth(truth, opened, key=key)
        table = ranking.rank_store(opened, values, percentile=percentile, threshold=threshold)
        typer.echo(ranking.render(table, output))
        if plot is not None:
            ranking.plot_store(opened, values, plot)


@truth_app.command("import")
def import_truth(
    source: Annotated[
        Path, typer.Argument(help="nasbench_only108.tfrecord or nasbench_full.tfrecord")
    ],
    out: Annotated[Path, typer.Option(help="Table to write: .parquet or .csv.")],
    quiet: QuietOption = False,
) -> None:
    """Turn the official NAS-Bench-101 file into a table, without TensorFlow; checks every CRC."""
    from nasproxy.nasbench101_file import import_nasbench101
    from nasproxy.progress import fraction
    from nasproxy.truth import write_table

    with fraction(f"reading {source.name}", shown=not quiet) as advance:
        frame = import_nasbench101(source, progress=advance)
    write_table(frame, out)
    typer.echo(f"{len(frame)} cells in {out}: {', '.join(frame.columns)}")


@app.command()
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
    quiet: QuietOption = False,
) -> None:
    """Search a space for the architecture that a proxy scores best.

    Example: `nasproxy search nasbench101 --proxy nngp --budget 200 --store search.db`
    """
    from nasproxy.search import search as run
    from nasproxy.truth import write_table

    chosen = _space(space)
    trace = run(
        chosen,
        _proxy(proxy, width),
        _data(data, data_dir),
        strategy=strategy,
        budget=budget,
        seed=seed,
        store=store,
        progress=not quiet,
    )
    if out is not None:
        write_table(trace, out)
    _show_trace(trace)


def _show_trace(trace: Any) -> None:
    console = Console()
    improved = trace[trace["best_architecture"] == trace["architecture"]]
    improved = improved.drop_duplicates("best_architecture")
    if improved.empty:
        console.print(
            f"none of {len(trace)} architectures could be scored; the store has the reasons"
        )
        return
    table = Table(title=f"best so far over {len(trace)} architectures")
    for column in ("step", "score", "architecture"):
        table.add_column(column, justify="left" if column == "architecture" else "right")
    for _, row in improved.iterrows():
        table.add_row(str(row["step"]), f"{row['score']:.6g}", str(row["architecture"]))
    console.print(table)
    console.print(improved["architecture_json"].iloc[-1], soft_wrap=True)


@app.command()
def reproduce(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="SUITE, or SUITE/EXPERIMENT; --list shows them."),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Show suites and experiments.")] = False,
    cells: Annotated[
        int | None, typer.Option(help="Architectures to draw.", show_default=False)
    ] = None,
    points: Annotated[
        int | None,
        typer.Option(help="Training images, of suites that solve big kernels.", show_default=False),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="Folder or file of published accuracies. Without it a few architectures are "
            "trained here, on embedded data: minutes on a laptop."
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="As for `score`; the paper's own by default.")
    ] = None,
    data_dir: DataDirOption = None,
    store: Annotated[
        Path | None, typer.Option(help="Scores, resumable; scores.db beside the results.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for results.")] = Path("results"),
    seed: SeedOption = 0,
    shard: Annotated[
        str | None,
        typer.Option(help="I/N: only score every N-th architecture from the I-th; no results."),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Reproduce a paper's figures: a table, a figure and a verdict on each claim.

    Scores that the store holds are not computed again, so a killed run resumes, and several
    processes may share the work: run each with `--shard I/N` and one `--store`, then once without.

    Example: `nasproxy reproduce nngp_nas/kendall_vs_cost --cells 5000 --data-dir DIR --truth DIR`
    """
    from experiments import reproduction

    console = Console()
    if listed:
        for suite, paper in reproduction.SUITES.items():
            console.print(f"[bold]{suite}[/]: {paper}", highlight=False)
            for label, experiment in reproduction.experiments(suite).items():
                line = f"  {suite}/{label}: {reproduction.title(experiment)}"
                console.print(line, highlight=False, markup=False, soft_wrap=True)
        return
    if name is None:
        raise SettingError("name a suite or an experiment; nasproxy reproduce --list shows them")
    options = reproduction.Options(
        cells=cells,
        points=points,
        data=data,
        data_dir=data_dir,
        truth=truth,
        store=store,
        out=out,
        seed=seed,
        shard=(0, 1) if shard is None else _shard(shard),
        progress=not quiet,
    )
    for found in reproduction.reproduce(name, options):
        console.print(f"[bold]{found.title}[/]", highlight=False)
        console.print(found.verdict, highlight=False, markup=False, soft_wrap=True)
        console.print(f"→ {found.folder}", highlight=False, soft_wrap=True)


@app.command()
def spaces() -> None:
    """List search spaces, their settings and samplers."""
    from search_spaces import SPACES

    for name, kind in SPACES.items():
        samplers = "/".join(kind.samplers)
        typer.echo(f"{name}: {_first_line(kind)} Settings: {_fields(kind)}. Samplers: {samplers}.")


@app.command()
def proxies() -> None:
    """List proxies and their settings."""
    from nasproxy.proxies import PROXIES

    for name, kind in PROXIES.items():
        presets = getattr(kind, "presets", {})
        more = f" Presets: {'/'.join(presets)}." if presets else ""
        typer.echo(f"{name}: {_first_line(kind)} Settings: {_fields(kind)}.{more}")


@app.command()
def datasets() -> None:
    """List data sets by name; other image sets of TFDS, prepared folders and .npz work too."""
    from nasproxy import data

    for name, line in data.available():
        typer.echo(f"{name}: {line}")


@app.command()
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


def _space(text: str) -> Any:
    from nasproxy.proxies import make, parse_settings
    from search_spaces import SPACES

    name, settings = parse_settings(text)
    if name not in SPACES:
        raise SettingError(f"search space {name!r}: choose one of {', '.join(SPACES)}")
    return make(SPACES[name], name, settings)


def _proxy(text: str, width: int) -> Any:
    from nasproxy.proxies import PROXIES, make, parse_settings

    name, settings = parse_settings(text)
    if name not in PROXIES:
        raise SettingError(f"proxy {name!r}: choose one of {', '.join(PROXIES)}")
    kind = PROXIES[name]
    if any(field.name == "width" for field in dataclasses.fields(kind)):
        settings.setdefault("width", width)
    return make(kind, name, settings)


def _data(text: str, data_dir: Path | None) -> Any:
    """The data set of ``NAME``, ``PATH`` or either with ``:resolution=64,labels=100``."""
    from nasproxy import data
    from nasproxy.proxies import parse_settings

    name, colon, rest = text.rpartition(":")
    if not colon or "=" not in rest:
        return data.load(text, data_dir=data_dir)
    _, settings = parse_settings(f"data:{rest}")
    known = ("resolution", "labels", "valid_fraction", "seed")
    if unknown := [key for key in settings if key not in known]:
        raise SettingError(f"data has no setting {unknown[0]!r}: it has {', '.join(known)}")
    return data.load(name, data_dir=data_dir, **settings)


def _architectures(
    space: Any,
    sample: int | None,
    path: Path | None,
    grid: list[str] | None,
    sampler: str | None,
    seed: int,
) -> tuple[list[Any], str]:
    """Architectures, and how they were drawn, for tables to state."""
    from nasproxy.architectures import read_architectures

    if grid is not None:
        if (sample, path, sampler) != (None, None, None):
            raise SettingError("--grid names every architecture: leave out the other ways")
        return _grid(space, grid), f"grid {' '.join(grid)}"
    if path is not None:
        if sampler is not None:
            raise SettingError(
                "--sampler draws from the space; a file is read or drawn from evenly"
            )
        found = read_architectures(path, space)
        if sample is None:
            return found, f"file {path.name}"
        if not 0 <= sample <= len(found):
            raise SettingError(f"--sample {sample}: {path} holds {len(found)} architectures")
        chosen = np.random.default_rng(seed).choice(len(found), sample, replace=False)
        return [found[i] for i in chosen], f"file {path.name}, n={sample}, seed={seed}"
    if sample is None:
        raise SettingError(
            "give --sample N and --architectures FILE, or one of them; or --grid AXIS=VALUES"
        )
    sampler = sampler or space.samplers[0]
    return space.sample(sample, seed, sampler), f"{sampler}, n={sample}, seed={seed}"


def _grid(space: Any, axes: list[str]) -> list[Any]:
    from nasproxy.proxies import parse_settings

    if not hasattr(space, "grid"):
        raise SettingError(f"{space.name} has no grid: give --sample N or --architectures FILE")
    # Written as a setting, but for the commas.
    parsed = [parse_settings(f"grid:{axis.strip().replace(',', '/')}")[1] for axis in axes]
    values = {axis: values for one in parsed for axis, values in one.items()}
    if len(values) < len(axes):
        raise SettingError(f"--grid {' '.join(axes)}: give each axis once, as depth=1,2,5")
    return space.grid(**{a: v if isinstance(v, tuple) else (v,) for a, v in values.items()})


def _shard(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise SettingError(f"shard {text!r}: give I/N with I from 0 to N−1, such as 0/4")
    return int(index), int(count)


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def _fields(kind: type) -> str:
    fields = [f"{f.name}={f.default}" for f in dataclasses.fields(kind)]
    return ", ".join(fields) or "none"


def main() -> None:
    """The ``nasproxy`` command: the user's errors in one line, others with their traceback."""
    try:
        app()
    except NasproxyError as error:
        Console(stderr=True).print(f"[bold red]error:[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(2)
