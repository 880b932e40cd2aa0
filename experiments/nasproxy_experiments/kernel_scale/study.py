"""What the experiments share: accuracies of kernels by size, draw, whitening and flips.

Each case is a score in a store, so that a run that is killed goes on, and processes share the work.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import pandas as pd

from nasproxy import Store, scoring
from nasproxy.data import Dataset
from nasproxy.errors import SettingError
from nasproxy.named import data_of
from nasproxy.reproduce.plan import Planned
from nasproxy.reproduce.suites import Options
from nasproxy.store import Key, Record
from nasproxy_experiments.kernel_scale import accuracy
from nasproxy_experiments.kernel_scale.accuracy import KERNELS, Case, Row

LEAST_DRAWS = 3
"""Fewer tell nothing of how much draws differ."""
QUICK_SIZES, QUICK_DRAWS, QUICK_VALID = (100,), 2, 100
"""Of a rehearsal."""


@dataclass(eq=False)
class Study:
    """See :mod:`nasproxy.reproduce.suites`.

    Attributes:
        name: the folder of results.
        images: what is drawn from.
        store: an open store.
        quick: a rehearsal.
    """

    name: str
    images: Dataset
    store: Store
    quick: bool

    ranked: ClassVar[None] = None

    def close(self) -> None:
        self.store.close()

    @property
    def n_valid(self) -> int:
        return QUICK_VALID if self.quick else accuracy.N_VALID

    def cases(self, kernels: Sequence[str]) -> list[Case]:
        """Draw by draw, so that what is there after a while has all kernels, cheap ones first."""
        found = []
        for name in KERNELS:
            tried = KERNELS[name]
            sizes = QUICK_SIZES if self.quick else tried.sizes
            draws = QUICK_DRAWS if self.quick else tried.draws
            found += [
                Case(name, n, draw, whitened)
                for draw in range(draws)
                for n in sizes
                for whitened in (False, True)
                if name in kernels
            ]
        return sorted(found, key=lambda case: case.draw)

    def plan(self, needs: Sequence[str], shard: tuple[int, int]) -> list[Planned]:
        planned = []
        for need in needs:
            cases = self.cases([need])[shard[0] :: shard[1]]
            stored = [r for case in cases if (r := self.store.get(self._key(case))) is not None]
            seconds = float(np.median([r.seconds for r in stored])) if stored else None
            run = ("kernel_scale", need, self._data, 0)
            planned.append(Planned(need, run, len(cases), len(stored), seconds))
        return planned

    def compute(self, needs: Sequence[str], shard: tuple[int, int]) -> None:
        for case in self.cases(needs)[shard[0] :: shard[1]]:
            key = self._key(case)
            if self.store.get(key) is not None:
                continue
            start = time.perf_counter()
            rows = list(accuracy.rows(case, self.images, self.n_valid))
            info = {"rows": [row._asdict() for row in rows]}
            seconds, text = time.perf_counter() - start, json.dumps(case._asdict())
            self.store.put(Record(key, rows[0].accuracy, seconds, 0.0, info, None, text))

    def frame(self, kernels: Sequence[str]) -> pd.DataFrame:
        """A row a fit that is stored: the case's and the fit's fields."""
        found = []
        for case in self.cases(kernels):
            record = self.store.get(self._key(case))
            if record is not None:
                found += [{**case._asdict(), **row} for row in record.info["rows"]]
        return pd.DataFrame(found, columns=[*Case._fields, *Row._fields])

    def describe(self, needs: Sequence[str]) -> list[str]:
        if not needs:
            return [f"Data: {self.images.name}, standardised by channel.", ""]
        lines = [
            f"- `{name}`: {tried.kernel or 'exp(−|x − x′|²/2ℓ²), ℓ by leave-one-out error'}, "
            f"n {', '.join(map(str, tried.sizes))}, {tried.draws} draws"
            + (f", flips up to n = {tried.flipped}" if tried.flipped else "")
            for name, tried in KERNELS.items()
            if name in needs
        ]
        return [
            f"Data: {self.images.name}; each draw has class-balanced training images and "
            f"{self.n_valid:,} validation images of its own, the same for all kernels. Images are "
            "standardised by channel, then each is brought to mean 0 and one length. Whitening, "
            f"ε = {accuracy.WHITENED:g} times the mean eigenvalue, is fitted to the training "
            "images and their mirror images. The ridge is that of the least leave-one-out error. "
            "Intervals are Student's over draws, 95 %; differences are paired draw by draw.",
            "",
            *lines,
            "",
        ]

    def _key(self, case: Case) -> Key:
        settings = (
            f"kernel_accuracy:n_train={case.n},n_valid={self.n_valid},"
            f"whitened={str(case.whitened).lower()}"
        )
        kernel = KERNELS[case.kernel].kernel or case.kernel
        return Key("kernel_scale", str(kernel), settings, self._data, case.draw)

    @cached_property
    def _data(self) -> str:
        return scoring.data_id(self.images)


def prepare(options: Options) -> Study:
    """The study that the options describe.

    Raises:
        SettingError, DataError, StoreError: before anything is computed.
    """
    if options.truth is not None or options.cells is not None or options.points is not None:
        raise SettingError(
            "kernel_scale has kernels and sizes of its own: leave --truth, --cells and --points out"
        )
    embedded = options.data is None and options.data_dir is None
    if embedded and not options.quick:
        raise SettingError(
            "kernel_scale is of CIFAR-10: give --data-dir DIR, or --quick for a rehearsal on digits"
        )
    source = options.data or ("digits" if embedded else "cifar10:pool=2")
    name = options.folder("kernel_scale_embedded" if embedded else "kernel_scale")
    return Study(name, data_of(source, options.data_dir), options.opened(name), options.quick)
