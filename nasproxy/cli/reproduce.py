"""Papers' figures, again."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from nasproxy.cli.app import Command, app
from nasproxy.cli.options import (
    DataDirOption,
    QuietOption,
    SeedOption,
)
from nasproxy.cli.parsing import shard_of
from nasproxy.cli.printing import console
from nasproxy.errors import SettingError


@app.command(cls=Command)
def reproduce(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="SUITE, or SUITE/EXPERIMENT; --list shows them."),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Show suites and experiments.")] = False,
    claims: Annotated[
        bool,
        typer.Option(
            "--claims",
            help="Judge every claim of the papers by the reports in --out; writes CLAIMS.md there.",
        ),
    ] = False,
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
        str | None,
        typer.Option(
            help="As for `score`; the paper's own by default. Of nngp_mnas, the ImageNet-like set "
            "of the Accel-NASBench part, tiny_imagenet100 by default; the others keep CIFAR-10."
        ),
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
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="A rehearsal: few architectures and small kernels, in a folder NAME_quick. It "
            "shows the form, and decides nothing.",
        ),
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Reproduce a paper's figures: a table, a figure and a verdict on each claim.

    What is to be computed, and about how long it takes, is said before it begins.

    Scores that the store holds are not computed again, so a killed run resumes, and several
    processes may share the work: run each with `--shard I/N` and one `--store`, then once without.

    Example: `nasproxy reproduce nngp_nas/kendall_vs_cost --cells 5000 --data-dir DIR --truth DIR`
    """
    from nasproxy.reproduce import suites

    shown = console()
    if listed:
        for suite in suites.SUITES:
            package = suites.SUITES[suite]
            shown.print(Text.assemble((suite, "bold"), f": {package.PAPER}"))
            for label, experiment in suites.experiments(package).items():
                line = f"  {suite}/{label}: {suites.title(experiment)}"
                shown.print(line, highlight=False, soft_wrap=True)
        return
    if claims:
        _claims(out)
        return
    if name is None:
        raise SettingError("name a suite or an experiment; nasproxy reproduce --list shows them")
    options = suites.Options(
        cells=cells,
        points=points,
        data=data,
        data_dir=data_dir,
        truth=truth,
        store=store,
        out=out,
        seed=seed,
        shard=(0, 1) if shard is None else shard_of(shard),
        progress=not quiet,
        quick=quick,
    )
    told = console(stderr=True)

    def say(line: str) -> None:
        told.print(line, highlight=False, soft_wrap=True)

    for found in suites.reproduce(name, options, say):
        shown.print(found.title, style="bold", highlight=False)
        shown.print(found.verdict, highlight=False, soft_wrap=True)
        shown.print(f"→ {found.folder}", highlight=False, soft_wrap=True)


def _claims(out: Path) -> None:
    """Judges all claims by a folder of reports, and says how many came to each word."""
    from nasproxy.reproduce import claims

    if not out.is_dir():
        raise SettingError(f"{out} is no folder of results: give --out the one that holds reports")
    judged = claims.write(out)
    counts = ", ".join(
        f"{sum(one.verdict == word for one in judged)} {word}" for word in claims.WORDS
    )
    console().print(f"{len(judged)} claims: {counts}", highlight=False)
    console().print(f"→ {out / 'CLAIMS.md'}", highlight=False, soft_wrap=True)
