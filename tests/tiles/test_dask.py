"""Tiles on a Dask cluster: computed by its workers, and multiplied where they are kept."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasproxy.errors import SettingError, StoreError
from nasproxy.solvers import ConjugateGradient
from nasproxy.tiles import Tiles, spread
from nasproxy.tiles.layout import Place, tile_path
from tests.support.kernels import Gauss
from tests.test_cluster import scheduler

__all__ = ["scheduler"]


def kept() -> int:
    """Tiles that a worker holds."""
    return sum(len(reader._kept) for reader in spread._readers.values())


def forget() -> None:
    """A worker's own readers: a bound method would be sent with a copy of this process's."""
    spread._readers.clear()


@pytest.mark.slow
def test_workers_make_tiles_keep_them_and_may_die(scheduler: str, tmp_path: Path) -> None:
    from distributed import Client

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(500, 4)), rng.normal(size=(500, 2))
    with Client(scheduler, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        tiles = Tiles.create(tmp_path, Gauss(), x, x[:70], side=64).compute(client)
        assert tiles.verify() == []
        assert tiles.status()[:2] == (36 + 16, 36 + 16)
        there = tiles.on(client)
        matrix = Gauss()(x, x)
        for _ in range(2):
            found = there.times(there.train, there.train, y)
            np.testing.assert_allclose(found, matrix @ y, atol=1e-12)
        counts: Any = client.run(kept)
        assert sorted(counts.values()) == [18, 18], "each keeps its half, and no more"
        model = ConjugateGradient(there, rank=30, ridge=1e-2, tolerance=1e-8).fit(there.train, y)
        other = ConjugateGradient(tiles, rank=30, ridge=1e-2, tolerance=1e-8).fit(tiles.train, y)
        np.testing.assert_allclose(model.dual_coef_, other.dual_coef_, atol=1e-6)
        pids: Any = client.run(os.getpid)
        os.kill(next(iter(pids.values())), signal.SIGKILL)  # its nanny makes another
        found = there.times(there.train, there.train, y, exact=True)
        np.testing.assert_allclose(found, matrix @ y, atol=1e-12)
        client.wait_for_workers(2, timeout=60)
        tile_path(tmp_path, Place(2, 3)).write_bytes(b"")
        client.run(forget)
        with pytest.raises(StoreError, match=r"00003\.npy has 0 bytes"):
            there.times(there.train, there.train, y)


def test_what_is_no_client(tmp_path: Path) -> None:
    tiles = Tiles.create(tmp_path, Gauss(), np.random.default_rng(0).normal(size=(80, 2)), side=64)
    with pytest.raises(SettingError, match=r"client=3 .* give a dask"):
        tiles.on(3)
