"""Fitting the kernels of wide networks."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from nasproxy.cli.app import Command, app
from nasproxy.cli.options import (
    DataDirOption,
    DataOption,
    QuietOption,
)
from nasproxy.cli.printing import console
from nasproxy.errors import SettingError
from nasproxy.settings import describe


@app.command(cls=Command)
def fit(
    kernel: Annotated[
        str,
        typer.Option(
            help="fc3, cv8, myrtle5, myrtle7, myrtle10, myrtle10_flat (fully connected, CNN-Vec, "
            "Myrtle), other depths by other numbers, with settings: myrtle10:bias_variance=0.1. Or "
            "ntk or nngp, of fully-connected networks of --depth."
        ),
    ] = "ntk",
    kind: Annotated[
        str | None, typer.Option(help="ntk (by itself) or nngp, of a --kernel that is a network.")
    ] = None,
    depth: Annotated[
        int | None, typer.Option(help="Hidden layers; a linear readout follows. By itself 3.")
    ] = None,
    activation: Annotated[
        str | None,
        typer.Option(help="relu (by itself) or erf; of convolutions gelu or exponential, too."),
    ] = None,
    weight_variance: Annotated[
        float | None, typer.Option(help="σ_w², of weights times fan-in; by itself 2.")
    ] = None,
    bias_variance: Annotated[
        float | None, typer.Option(help="σ_b²; by itself 0.01, of Myrtle 0.")
    ] = None,
    whiten: Annotated[
        float | None,
        typer.Option(
            help="ε of ZCA on the training images and their mirror images, in units of the mean "
            "eigenvalue, such as 1; of kernels with pooling it is worth points."
        ),
    ] = None,
    flip: Annotated[
        bool,
        typer.Option("--flip", help="Fit mirror images, too, at the price of one more kernel."),
    ] = False,
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
            "cg (likewise, squared loss with a ridge, preconditioned at --rank), ridge (one "
            "Cholesky factorisation: exact, memory 12 n² bytes), or approximations of --rank: "
            "nystrom, subset_of_regressors, block_diagonal or committee."
        ),
    ] = "eigenpro",
    loss: Annotated[
        str, typer.Option(help="squared or cross_entropy, the latter with eigenpro only.")
    ] = "squared",
    top: Annotated[
        int | None,
        typer.Option(
            help="Eigenvalues that eigenpro damps: more make fewer iterations; without it 500, or "
            "half of the images that they are taken from."
        ),
    ] = None,
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
    patience: Annotated[
        int, typer.Option(help="Stop eigenpro when the gradient rests for so many epochs.")
    ] = 20,
    ridge: Annotated[
        str | None,
        typer.Option(
            help="Regulariser, as a fraction of the kernel's mean eigenvalue; by itself 0 with "
            "eigenpro, 0.001 with others. With --tiles several: 1e-4,1e-3,1e-2."
        ),
    ] = None,
    memory: Annotated[
        float, typer.Option(help="GiB up to which the kernel matrix, or its tiles, are kept.")
    ] = 4.0,
    seed: Annotated[int, typer.Option(help="Of subsets and batches.")] = 0,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Keep eigenpro's or cg's state here; the same command goes on from it."),
    ] = None,
    rank: Annotated[
        int | None,
        typer.Option(
            help="Of cg's preconditioner (by itself --top), or columns or points of a block of an "
            "approximation (by itself 1,000)."
        ),
    ] = None,
    tiles: Annotated[
        Path | None,
        typer.Option(help="Folder of `kernel compute`, in place of a kernel, data and subsets."),
    ] = None,
    stop: Annotated[
        str,
        typer.Option(
            help="What ends cg on --tiles: residual (--tolerance), or validation (--patience "
            "iterations without a smaller error)."
        ),
    ] = "residual",
    quiet: QuietOption = False,
) -> None:
    """Fit the kernel of wide networks, fully connected or convolutional, to images.

    Examples: `nasproxy fit --depth 5`;
    `nasproxy fit --kernel myrtle10_flat --kind nngp --data cifar10:pool=2 --data-dir DIR
    --n-train 1000 --n-valid 1000 --solver ridge --whiten 1 --flip`;
    `nasproxy fit --depth 5 --loss cross_entropy --train-accuracy 0.99 --top 200`;
    `nasproxy fit --data cifar10 --data-dir DIR --n-train 10000 --n-valid 5000 --batch 5000`;
    `nasproxy fit --tiles DIR --solver cg --ridge 1e-4,1e-3,1e-2 --checkpoint cg.npz`.
    """
    ridges = _ridges(ridge)
    if stop not in ("residual", "validation"):
        raise SettingError(f"--stop {stop}: choose residual or validation")
    of_kernel = {
        "depth": depth,
        "activation": activation,
        "weight_variance": weight_variance,
        "bias_variance": bias_variance,
    }
    given = {name: value for name, value in of_kernel.items() if value is not None}
    if tiles is not None:
        if whiten is not None or flip:
            raise SettingError("--whiten and --flip are for --data: tiles hold a kernel already")
        _fit_tiles(
            tiles,
            solver,
            ridges or (1e-3,),
            rank=rank,
            tolerance=tolerance,
            patience=patience if stop == "validation" else None,
            memory=memory,
            seed=seed,
            checkpoint=checkpoint,
            quiet=quiet,
        )
        return
    if len(ridges) > 1:
        raise SettingError(f"--ridge {ridge}: several are for --tiles; give one")
    from nasproxy import kernel_fit
    from nasproxy.named import data_of, kernel_of
    from nasproxy.solvers import EigenProClassifier

    plain = kernel in ("ntk", "nngp")
    if plain and kind is not None:
        raise SettingError(f"--kernel {kernel} is a kind already: leave out --kind {kind}")
    function = kernel_of("fc" if plain else kernel, kernel if plain else kind, **given)
    if solver == "eigenpro":
        chosen: Any = EigenProClassifier(
            function,
            top=top,
            subsample=subsample,
            loss=loss,
            ridge=ridges[0] if ridges else 0.0,
            batch=batch,
            step=step,
            epochs=epochs,
            train_accuracy=train_accuracy,
            tolerance=tolerance,
            patience=patience,
            memory=memory,
            seed=seed,
        )
    elif loss != "squared":
        raise SettingError(f"--loss {loss} is for --solver eigenpro, not {solver}")
    else:
        chosen = _solver(
            solver,
            "Classifier",
            function,
            rank=top if rank is None and solver == "cg" and top is not None else rank,
            tolerance=tolerance,
            memory=memory,
            seed=seed,
        ).set_params(ridge=ridges[0] if ridges else 1e-3)
    loaded = data_of(data, data_dir)
    report = kernel_fit.fit(
        loaded,
        chosen,
        n_train=n_train,
        n_valid=n_valid,
        seed=seed,
        checkpoint=checkpoint,
        whiten=whiten,
        flip=flip,
        progress=not quiet,
    )
    extra = ([] if whiten is None else [f"whitened {whiten:g}"]) + ["flipped"] * flip
    name = describe(function, type(function).__name__, full=True)
    table = Table(title=", ".join([name, *extra, solver, loss, loaded.name]))
    table.add_column("")
    table.add_column("", justify="right")
    for name, value in dataclasses.asdict(report).items():
        unit = " (GiB)" if name == "peak_memory" else ""
        table.add_row(name.replace("_", " ") + unit, _shown(value))
    console().print(table)


SOLVERS = {
    "eigenpro": "EigenPro",
    "cg": "ConjugateGradient",
    "ridge": "KernelRidge",
    "nystrom": "Nystrom",
    "subset_of_regressors": "SubsetOfRegressors",
    "block_diagonal": "BlockDiagonal",
    "committee": "Committee",
}


def _solver(name: str, suffix: str, kernel: Any, *, rank: int | None, **settings: Any) -> Any:
    """A solver by name, with those of the settings that it has."""
    from nasproxy import solvers

    if name not in SOLVERS:
        raise SettingError(f"solver {name!r}: choose {', '.join(SOLVERS)}")
    made = getattr(solvers, SOLVERS[name] + suffix)(kernel)
    if rank is not None:
        settings |= {"rank": rank, "size": rank, "top": rank}
    return made.set_params(**{key: settings[key] for key in settings if key in made.rules})


def _fit_tiles(
    folder: Path,
    solver: str,
    ridges: tuple[float, ...],
    *,
    rank: int | None,
    tolerance: float,
    patience: int | None,
    memory: float,
    seed: int,
    checkpoint: Path | None,
    quiet: bool,
) -> None:
    from nasproxy import kernel_fit
    from nasproxy.tiles import Tiles

    tiles = Tiles(folder, memory=memory)
    model = _solver(solver, "", tiles, rank=rank, tolerance=tolerance, memory=memory, seed=seed)
    reports = kernel_fit.fit_tiles(
        tiles, model, ridges, checkpoint=checkpoint, patience=patience, progress=not quiet
    )
    table = Table(title=f"{solver}, {len(tiles.train):,} points")
    shown = ("ridge", "valid_accuracy", "valid_error", "residual", "stopped")
    for name in shown:
        table.add_column(name.replace("_", " "))
    for report in reports:
        table.add_row(*(_shown(getattr(report, name)) for name in shown))
    out, last = console(), reports[-1]
    out.print(table)
    out.print(
        f"{last.iterations} iterations, {last.seconds:,.1f} s, {last.peak_memory:.2f} GiB at most"
    )


def _ridges(text: str | None) -> tuple[float, ...]:
    """``1e-4,1e-3``."""
    if text is None:
        return ()
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise SettingError(f"--ridge {text}: give a number, or several as 1e-4,1e-3") from None


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "–" if value is None else str(value)
