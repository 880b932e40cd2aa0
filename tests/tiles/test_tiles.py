"""Tiles on disk: what they hold, who may make them, and what is found when they are damaged."""

import errno
import itertools
import json
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nasproxy.errors import DataError, SettingError, StoreError
from nasproxy.kernels import FullyConnected
from nasproxy.tiles import Tiles, claims, computing, products
from nasproxy.tiles.layout import Place, tile_path
from tests.conftest import ROOT
from tests.support.kernels import Gauss

N, M, SIDE = 300, 90, 64


def points(n: int = N, m: int = M) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 5)), rng.normal(size=(m, 5))


def made(folder: Path, kernel: Any = None, **options: Any) -> Tiles:
    return Tiles.create(folder, kernel or Gauss(), *points(), side=SIDE, **options).compute()


def whole(kernel: Any = None) -> NDArray[np.float64]:
    x = np.concatenate(points())
    return np.asarray((kernel or Gauss())(x, x))


def test_every_entry_is_the_kernels(tmp_path: Path) -> None:
    tiles, expected = made(tmp_path), whole()
    assert tiles.status()[:2] == (25, 25)  # 15 of the upper triangle, 2 × 5 of validation
    np.testing.assert_allclose(tiles(tiles.train), expected[:N, :N], atol=1e-14)
    np.testing.assert_allclose(tiles(tiles.valid, tiles.train), expected[N:, :N], atol=1e-14)
    np.testing.assert_allclose(tiles(tiles.train, tiles.valid), expected[:N, N:], atol=1e-14)
    rng = np.random.default_rng(1)
    rows, columns = rng.choice(N + M, 50), rng.choice(N, 70)
    chosen = expected[np.ix_(rows, columns)]
    np.testing.assert_allclose(tiles(rows, columns), chosen, atol=1e-14)
    np.testing.assert_allclose(tiles.diagonal(rows), np.ones(50), atol=1e-14)


@pytest.mark.parametrize("memory", [1e-9, 2e-4, 1.0])
def test_products_are_those_of_the_matrix(tmp_path: Path, memory: float) -> None:
    """Whether no tile, some or all stay in memory."""
    tiles, expected = made(tmp_path, memory=memory), whole()
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(N, 3))
    for _ in range(2):
        found = tiles.times(tiles.train, tiles.train, vectors)
        np.testing.assert_allclose(found, expected[:N, :N] @ vectors, atol=1e-12)
        found = tiles.times(tiles.valid, tiles.train, vectors)
        np.testing.assert_allclose(found, expected[N:, :N] @ vectors, atol=1e-12)
    rows, columns = rng.choice(N + M, 50), rng.choice(N, 70)  # some of them twice
    some = tiles.times(rows, columns, vectors[:70])
    np.testing.assert_allclose(some, expected[np.ix_(rows, columns)] @ vectors[:70], atol=1e-12)


def test_a_product_holds_no_more_tiles_than_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tile = SIDE * SIDE * 8
    tiles = made(tmp_path, memory=(products.AHEAD + 1 + 4) * tile / 2**30)
    arrays: list[int] = []
    empty = np.empty

    def counted(shape: Any, dtype: Any = float) -> Any:
        if dtype is np.uint8:
            arrays.append(int(shape))
        return empty(shape, dtype)

    monkeypatch.setattr(np, "empty", counted)
    for _ in range(3):
        tiles.times(tiles.train, tiles.train, np.ones((N, 1)))
    kept = arrays[: len(arrays) - 3 * (products.AHEAD + 1)]
    assert 4 <= len(kept) <= 5  # as many whole ones as there is room for, once and for all
    assert sum(kept) + (products.AHEAD + 1) * tile <= tiles.memory * 2**30
    assert arrays.count(tile) >= products.AHEAD + 1


def test_float32_is_multiplied_exactly_where_it_is_asked_for(tmp_path: Path) -> None:
    kernel = FullyConnected()
    tiles = made(tmp_path, kernel)
    assert tiles.manifest.dtype == "float32"
    stored = tiles(tiles.train).astype(np.float64)
    vectors = np.random.default_rng(0).normal(size=(N, 2))
    exact = tiles.times(tiles.train, tiles.train, vectors, exact=True)
    np.testing.assert_allclose(exact, stored @ vectors, rtol=1e-12, atol=1e-10)
    assert np.abs(tiles.times(tiles.train, tiles.train, vectors) - exact).max() > 1e-7
    np.testing.assert_allclose(stored, np.asarray(kernel(points()[0])), atol=1e-5)


def test_any_reader_of_npy_opens_a_tile(tmp_path: Path) -> None:
    made(tmp_path)
    found = np.load(tile_path(tmp_path, Place(1, 4)))
    np.testing.assert_allclose(found, whole()[64:128, 256:300], atol=1e-14)
    assert np.load(tile_path(tmp_path, Place(1, 4)), mmap_mode="r").shape == (64, 44)


# Who computes


def test_fifty_kills_lose_no_tile_and_make_none_twice(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(64 * 40, 3))
    folder, log = tmp_path / "tiles", tmp_path / "log"
    tiles = Tiles.create(folder, Gauss(seconds=0.002, log=str(log)), x, side=SIDE)
    log.write_text("")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.support.killed", folder, "50", log],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    kills, lost, there = map(int, done.stdout.split())
    assert (kills, lost) == (50, 0), done.stderr
    assert 50 <= there < 40 * 41 // 2
    before = {path: path.stat().st_mtime_ns for path in folder.glob("[0-9]*/[0-9]*.npy")}
    tiles.compute()
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())
    assert tiles.verify() == []
    np.testing.assert_allclose(tiles(tiles.train), Gauss()(x, x), atol=1e-13)
    blocks = log.read_text().count("\n")  # no more than one that was under way at each kill
    assert 40 * 41 // 2 <= blocks <= 40 * 41 // 2 + kills


@pytest.mark.parametrize("workers", [2, "threads"])
def test_workers_make_each_tile_once(tmp_path: Path, workers: Any) -> None:
    log = tmp_path / "log"
    kernel = Gauss(seconds=0.01, log=str(log))
    tiles = Tiles.create(tmp_path / "a", kernel, *points(), side=SIDE)
    log.write_text("")
    if workers == "threads":
        with ThreadPoolExecutor(3) as executor:
            tiles.compute(executor)
    else:
        tiles.compute(workers)
    assert tiles.status()[:2] == (25, 25)
    assert log.read_text().count("\n") == 25
    one = made(tmp_path / "b", kernel)
    for place in tiles.manifest.places():
        assert (
            tile_path(tiles.folder, place).read_bytes() == tile_path(one.folder, place).read_bytes()
        )


def test_drivers_of_one_folder_share_its_tiles(tmp_path: Path) -> None:
    log = tmp_path / "log"
    kernel = Gauss(seconds=0.01, log=str(log))
    both = [Tiles.create(tmp_path / "a", kernel, *points(), side=SIDE) for _ in range(2)]
    log.write_text("")
    with ThreadPoolExecutor(2) as executor:
        list(executor.map(lambda tiles: tiles.compute(), both))
    assert log.read_text().count("\n") == 25
    assert both[0].verify() == []


def test_a_claim_of_the_dead_is_void_and_of_the_living_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, dead = Place(0, 1), subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with claims.claim(tmp_path, place) as first, claims.claim(tmp_path, place) as second:
        assert (first, second) == (True, False)
    path = tmp_path / "claims" / "00000-00001"
    assert not path.is_symlink()
    os.symlink(f"{dead.pid} {claims.socket.gethostname()}", path)
    with claims.claim(tmp_path, place) as mine:
        assert mine
    os.symlink("1 elsewhere", path)
    with claims.claim(tmp_path, place) as mine:
        assert not mine
    monkeypatch.setattr(claims, "LEASE", -1.0)
    with claims.claim(tmp_path, place) as mine:
        assert mine


def test_nobody_computes_what_is_there(tmp_path: Path) -> None:
    log = tmp_path / "log"
    made(tmp_path / "a", Gauss(log=str(log)))
    count = log.read_text().count("\n")
    made(tmp_path / "a", Gauss(log=str(log)))
    assert log.read_text().count("\n") == count


# What is refused


def damage(path: Path, how: str, other: Path) -> None:
    content = bytearray(path.read_bytes())
    if how == "torn":
        path.write_bytes(content[: len(content) // 2])
    elif how == "altered":
        content[1000] ^= 1
        path.write_bytes(content)
    elif how == "moved":
        shutil.copy(path.with_name("00001.npy"), path)
    elif how == "foreign":
        shutil.copy(other / path.parent.name / path.name, path)
    elif how == "plain":
        np.save(path, np.load(path))
    elif how == "empty":
        path.write_bytes(b"")


HOW = {
    "torn": "bytes, and a whole one",
    "altered": "was altered",
    "moved": "is the tile of bands",
    "foreign": "is of another kernel",
    "plain": "bytes, and a whole one",
    "empty": "has 0 bytes",
}


@pytest.mark.parametrize("how", HOW)
def test_a_damaged_tile_is_named_and_made_again(tmp_path: Path, how: str) -> None:
    tiles = made(tmp_path / "a")
    made(tmp_path / "b", Gauss(width=2.0))
    path = tile_path(tiles.folder, Place(0, 2))
    damage(path, how, tmp_path / "b")
    (found,) = tiles.verify()
    assert found.place == (0, 2)
    assert found.path == path
    assert HOW[how] in found.what
    with pytest.raises(StoreError, match=f"{path}.*{HOW[how]}.*remove it"):
        Tiles(tiles.folder).times(tiles.train, tiles.train, np.ones((N, 1)))
    assert tiles.verify(remove=True)
    with pytest.raises(StoreError, match="is not there"):
        Tiles(tiles.folder).times(tiles.train, tiles.train, np.ones((N, 1)))
    assert tiles.compute().verify() == []
    np.testing.assert_allclose(tiles(tiles.train), whole()[:N, :N], atol=1e-14)


def test_a_nan_ends_the_work_and_names_the_inputs(tmp_path: Path) -> None:
    x = points()[0]
    kernel = Gauss(broken=float(x[71, 0]))
    tiles = Tiles.create(tmp_path, kernel, x, side=SIDE)
    with pytest.raises(DataError, match=r"the kernel of inputs .*71.* is nan"):
        tiles.compute()
    assert all(np.isfinite(np.load(path)).all() for path in tmp_path.glob("[0-9]*/*.npy"))


def test_a_nan_tile_with_a_right_checksum_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles, block = made(tmp_path), whole()[:64, :64].copy()
    block[3, 4] = np.nan
    with monkeypatch.context() as patched:
        patched.setattr("nasproxy.tiles.file._finite", lambda block: True)
        from nasproxy.tiles import file

        file.write(tmp_path, tiles.manifest, Place(0, 0), block)
    (found,) = tiles.verify()
    assert "NaN" in found.what


@pytest.mark.parametrize(
    ("kernel", "x", "options", "said"),
    [
        (Gauss(width=2.0), 0, {}, "holds tiles of .*width=3"),
        (FullyConnected(), 0, {}, "not of .*FullyConnected"),
        (Gauss(), 1, {}, "other data"),
        (Gauss(), 0, {"side": 128}, "side=64, not 128"),
        (Gauss(), 0, {"side": 100}, "multiple of 64"),
        (Gauss(), 0, {"memory": 0}, "memory=0"),
    ],
)
def test_a_folder_of_others_is_refused(
    tmp_path: Path, kernel: Any, x: int, options: dict[str, Any], said: str
) -> None:
    made(tmp_path)
    inputs, valid = points()
    with pytest.raises(SettingError, match=said):
        Tiles.create(tmp_path, kernel, inputs + x, valid, **options)


def nameless(scale: float) -> Any:
    def kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        return Gauss(scale)(a, b)

    return kernel


def test_a_kernel_is_known_by_its_numbers_too(tmp_path: Path) -> None:
    made(tmp_path, nameless(3.0))
    made(tmp_path, nameless(3.0))
    with pytest.raises(SettingError, match="other numbers"):
        made(tmp_path, nameless(2.0))


@pytest.mark.parametrize(
    "broken",
    ["", "[]", "{}", "nonsense", '{"format": 2}', "side", "points", "sample", "kernel", "dtype"],
)
def test_a_damaged_manifest_is_said(tmp_path: Path, broken: str) -> None:
    made(tmp_path)
    path = tmp_path / "manifest.json"
    content = json.loads(path.read_text())
    if broken in content:
        content[broken] = {"a": None}
        broken = json.dumps(content)
    path.write_text(broken)
    with pytest.raises(StoreError, match=r"manifest\.json"):
        Tiles(tmp_path)


def test_what_is_no_folder_of_tiles_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="holds no tiles"):
        Tiles(tmp_path)
    tiles = made(tmp_path)
    with pytest.raises(SettingError, match=r"kernel of .* is not known"):
        Tiles(tiles.folder).compute()


@pytest.mark.parametrize("given", [[N + M], [-1], [0.5], [[1]], "abc", [True]])
def test_points_that_are_none(tmp_path: Path, given: Any) -> None:
    tiles = made(tmp_path)
    with pytest.raises(DataError, match="numbers of points"):
        tiles(given)
    with pytest.raises(DataError, match="with each other"):
        tiles(tiles.valid)
    with pytest.raises(DataError, match="validation point"):
        tiles.times(tiles.train, tiles.valid, np.ones((M, 1)))


@pytest.mark.parametrize("given", ["a", np.full((4, 2), np.nan), np.zeros((0, 3)), 1j * np.ones(3)])
def test_inputs_that_are_none(tmp_path: Path, given: Any) -> None:
    with pytest.raises(DataError, match="inputs"):
        Tiles.create(tmp_path, Gauss(), given)
    with pytest.raises(DataError, match="inputs"):
        Tiles.create(tmp_path, Gauss(), np.ones((9, 2)), given)


def test_a_side_takes_its_time_and_leaves_something_to_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(0).normal(size=(1200, 3))
    assert Tiles.create(tmp_path / "fast", Gauss(), x).manifest.side == 192  # 8 bands, or nearly
    small = Tiles.create(tmp_path / "small", Gauss(), x, memory=3 * 8 * 64**2 / 2**30)
    assert small.manifest.side == 64
    monkeypatch.setattr(computing, "SECONDS", 1.1)  # 64² pairs take a quarter of it, or more
    slow = Tiles.create(tmp_path / "slow", Gauss(seconds=0.27), x)
    assert slow.manifest.side in (64, 128)


def test_it_is_sent_by_its_folder(tmp_path: Path) -> None:
    tiles = made(tmp_path)
    assert len(pickle.dumps(tiles)) < 2000
    again = pickle.loads(pickle.dumps(tiles))
    np.testing.assert_array_equal(again([3, 70], [5]), tiles([3, 70], [5]))


def test_a_full_disk_ends_the_work_and_keeps_what_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles = Tiles.create(tmp_path, Gauss(), *points(), side=SIDE)
    fsync, calls = os.fsync, itertools.count()

    def full(handle: int) -> None:
        if next(calls) == 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match=r"cannot be written \(No space left.*stay"):
            tiles.compute()
    made = tiles.status().there
    assert 0 < made < 25
    assert not list(tmp_path.glob("*/.*.part"))
    assert not list((tmp_path / "claims").iterdir())
    assert tiles.compute().verify() == []


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "tiles"):
        with pytest.raises(SettingError, match="cannot be written"):
            Tiles.create(place, Gauss(), *points(), side=SIDE)


def test_inputs_that_were_changed_are_found(tmp_path: Path) -> None:
    tiles = made(tmp_path)
    path = tmp_path / "inputs.npy"
    np.save(path, np.load(path) + 1)
    with pytest.raises(StoreError, match="not those that its tiles were begun with"):
        tiles.verify()
    np.save(path, np.load(path)[1:])
    with pytest.raises(StoreError, match="has 299 inputs, not 300"):
        tiles.compute()
    path.write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be read"):
        tiles.compute()
