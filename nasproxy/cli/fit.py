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


@app.command(cls=Command)
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
    patience: Annotated[
        int, typer.Option(help="Stop eigenpro when the gradient rests for so many epochs.")
    ] = 20,
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
    from nasproxy import kernel_fit
    from nasproxy.kernels import FullyConnected
    from nasproxy.named import data_of
    from nasproxy.solvers import (
        ConjugateGradientClassifier,
        EigenProClassifier,
        KernelRidgeClassifier,
    )

    function = FullyConnected(depth, kernel, activation, weight_variance, bias_variance)
    if solver == "eigenpro":
        chosen: Any = EigenProClassifier(
            function,
            top=top,
            subsample=subsample,
            loss=loss,
            ridge=ridge or 0.0,
            batch=batch,
            step=step,
            epochs=epochs,
            train_accuracy=train_accuracy,
            tolerance=tolerance,
            patience=patience,
            memory=memory,
            seed=seed,
        )
    elif solver not in ("ridge", "cg"):
        raise SettingError(f"solver {solver!r}: choose eigenpro, cg or ridge")
    elif loss != "squared":
        raise SettingError(f"--loss {loss} is for --solver eigenpro, not {solver}")
    else:
        damping = 1e-3 if ridge is None else ridge
        chosen = KernelRidgeClassifier(function, ridge=damping)
        if solver == "cg":
            chosen = ConjugateGradientClassifier(
                function, rank=top, ridge=damping, tolerance=tolerance, memory=memory, seed=seed
            )
    loaded = data_of(data, data_dir)
    report = kernel_fit.fit(
        loaded,
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
    console().print(table)
