"""Arguments and options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

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
        "settings: imagenet2012:resolution=224,labels=100, cifar10:pool=2 (means of 2×2 pixels).",
    ),
]
DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", help="Where TFDS keeps prepared data sets.")
]
SeedOption = Annotated[
    int,
    typer.Option(min=0, max=2**63 - 1, help="Of the sample, the subsets and the initialisations."),
]
SeedsOption = Annotated[
    str | None,
    typer.Option(
        help="Several in place of --seed, each scored at every one: 0,1,2.", show_default=False
    ),
]
SampleSeedOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=2**63 - 1,
        help="Of the sample alone; the (first) seed where it is not given.",
        show_default=False,
    ),
]
WidthOption = Annotated[
    int,
    typer.Option(
        help="Stem channels of networks that are run, where a proxy names none. Parameters, "
        "FLOPs and latency are always those of the benchmark's own width (nasbench101: 128), or of "
        "the one that SPACE names (mnas:width=16)."
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
RetryOption = Annotated[
    bool, typer.Option("--retry-failed", help="Compute again what is stored as failed.")
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        help="Seconds that an architecture may take; one that takes longer has failed.",
        show_default=False,
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]
StoresOption = Annotated[
    list[Path],
    typer.Option(
        "--store",
        help="Store that `score` wrote; again for more, such as shards: what several hold counts "
        "once, and must agree.",
    ),
]
TruthOption = Annotated[
    str,
    typer.Option(
        "--truth",
        help="FILE:COLUMN of a .parquet or .csv table (FILE:COLUMN:lower where lower is better), "
        "or a stored proxy such as training:epochs=4.",
    ),
]
KeyOption = Annotated[str | None, typer.Option("--key", help="Key column of the tables.")]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        help="COLUMN=VALUE: the rows to read of a table with several an architecture, such as "
        "dataset=cifar10; again for more.",
        show_default=False,
    ),
]
AverageOption = Annotated[
    bool, typer.Option("--average", help="Take means over rows of one key that differ.")
]
