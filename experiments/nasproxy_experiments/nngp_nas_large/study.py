"""Cells of NAS-Bench-101 and what is asked of them at the paper's size, by several seeds."""

import dataclasses
from typing import Any

from nasproxy import NNGP
from nasproxy.reproduce.scores import Request, spelled
from nasproxy.reproduce.suites import Options
from nasproxy_experiments.nngp_nas import study as smaller
from nasproxy_experiments.nngp_nas.study import PAPER, Study

NAME = "nngp_nas_large"
CELLS = 1000
SEEDS = (0, 1, 2)
LARGE: dict[str, Any] = {
    "n_train": (1000, 8000),
    "n_valid": 2000,
    "ensemble": (1, 4),
    "width": 128,
}
"""On CIFAR-10; smaller sizes come out of the same features."""
SMALL: dict[str, Any] = {"n_train": (50, 100), "n_valid": 100, "ensemble": (1, 2), "width": 16}
"""Of a rehearsal, and of embedded data."""


def of_seed(seed: int) -> str:
    """What the scores of a seed are called."""
    return f"seed {seed}"


def prepare(options: Options) -> Study:
    """The cells, truth and shortened training of the suite ``nngp_nas``, and other requests.

    Raises:
        SettingError, DataError, TruthError, StoreError: before anything is computed.
    """
    full = options.truth is not None and not options.quick
    name = options.folder(NAME if options.truth is not None else f"{NAME}_embedded")
    asked = dataclasses.replace(
        options,
        cells=options.cells or (CELLS if full else None),
        store=options.store or options.out / name / "scores.db",
    )
    study = smaller.prepare(asked)
    proxy = spelled(NNGP, PAPER, **(LARGE if full else SMALL))
    requests = {of_seed(seed): Request(proxy, len(study.cells), seed) for seed in SEEDS}
    return dataclasses.replace(study, name=name, requests=requests)
