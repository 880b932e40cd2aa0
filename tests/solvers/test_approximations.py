"""Approximations of kernel ridge regression: the direct solve where they must be, formulas else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nasproxy.errors import DataError, SettingError
from nasproxy.solvers import (
    BlockDiagonal,
    BlockDiagonalClassifier,
    Committee,
    CommitteeClassifier,
    EigenPro,
    KernelRidge,
    KernelRidgeClassifier,
    Nystrom,
    NystromClassifier,
    SubsetOfRegressors,
    SubsetOfRegressorsClassifier,
)
from nasproxy.tiles import Tiles
from tests.solvers.test_eigenpro import gauss, points
from tests.support.kernels import Gauss

LOW: list[Any] = [SubsetOfRegressors, Nystrom]
PARTS: list[Any] = [BlockDiagonal, Committee]


def problem(n: int = 150) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    x = points(n)[0]
    return x, np.stack([np.sin(x[:, 0]), x[:, 1] * x[:, 2]], 1), points(40, seed=3)[0]


@pytest.mark.parametrize("kind", LOW)
@pytest.mark.parametrize("pivot", ["uniform", "random", "greedy"])
@pytest.mark.parametrize("ridge", [1e-4, 1e-1])
def test_all_columns_are_the_direct_solve(kind: Any, pivot: str, ridge: float) -> None:
    x, y, fresh = problem()
    model = kind(gauss, rank=500, ridge=ridge, pivot=pivot).fit(x, y)
    direct = KernelRidge(gauss, ridge=ridge).fit(x, y)
    np.testing.assert_allclose(model.predict(fresh), direct.predict(fresh), atol=1e-7)
    np.testing.assert_allclose(model.dual_coef_, direct.dual_coef_, atol=1e-5)


@pytest.mark.parametrize("kind", PARTS)
def test_one_block_is_the_direct_solve(kind: Any) -> None:
    x, y, fresh = problem()
    model = kind(gauss, size=150, ridge=1e-2).fit(x, y)
    direct = KernelRidge(gauss, ridge=1e-2).fit(x, y)
    np.testing.assert_allclose(model.predict(fresh), direct.predict(fresh), atol=1e-9)


@pytest.mark.parametrize("jitter", [0.0, 1e-2])
def test_some_columns_are_the_formulas(jitter: float) -> None:
    x, y, fresh = problem()
    options: dict[str, Any] = {"rank": 30, "ridge": 1e-2, "jitter": jitter}
    regressors = SubsetOfRegressors(gauss, **options).fit(x, y)
    chosen = x[regressors.pivots_]
    core = gauss(chosen) + jitter * np.eye(30)
    columns = gauss(x, chosen)
    beta = np.linalg.solve(columns.T @ columns + 1e-2 * core, columns.T @ y)
    np.testing.assert_allclose(regressors.predict(fresh), gauss(fresh, chosen) @ beta, atol=1e-7)
    nystrom = Nystrom(gauss, **options).fit(x, y)
    np.testing.assert_array_equal(nystrom.pivots_, regressors.pivots_)
    approximate = columns @ np.linalg.solve(core, columns.T) + 1e-2 * np.eye(150)
    expected = gauss(fresh, x) @ np.linalg.solve(approximate, y)
    np.testing.assert_allclose(nystrom.predict(fresh), expected, atol=1e-6)


def test_blocks_are_the_mean_of_their_solves() -> None:
    x, y, fresh = problem()
    model = BlockDiagonal(gauss, size=40, ridge=1e-2).fit(x, y)
    blocks = model._blocks(150)
    assert sorted(np.concatenate(blocks).tolist()) == list(range(150))
    assert [len(block) for block in blocks] == [38, 38, 37, 37]
    each = [KernelRidge(gauss, ridge=1e-2).fit(x[b], y[b]).predict(fresh) for b in blocks]
    np.testing.assert_allclose(model.predict(fresh), np.mean(each, 0), atol=1e-10)


@pytest.mark.parametrize("query", [1, 15, 40])
def test_a_committee_is_tresps_formula(query: int) -> None:
    x, y, fresh = problem()
    model = Committee(gauss, size=40, ridge=1e-2, query=query, jitter=1e-3).fit(x, y)
    found = []
    for start in range(0, 40, query):
        q = fresh[start : start + query]
        prior = gauss(q) + 1e-3 * np.eye(len(q))
        precision = -3 * np.linalg.inv(prior)
        pulled = np.zeros((len(q), 2))
        for b in model._blocks(150):
            inverse = np.linalg.inv(gauss(x[b]) + 1e-2 * np.eye(len(b)))
            own = np.linalg.inv(prior - gauss(q, x[b]) @ inverse @ gauss(x[b], q))
            precision += own
            pulled += own @ gauss(q, x[b]) @ inverse @ y[b]
        found.append(np.linalg.inv(precision) @ pulled)
    np.testing.assert_allclose(model.predict(fresh), np.concatenate(found), atol=1e-6)


def test_more_is_better_and_a_committee_better_than_a_mean() -> None:
    x, y, fresh = problem(600)
    wanted = np.stack([np.sin(fresh[:, 0]), fresh[:, 1] * fresh[:, 2]], 1)

    def error(model: Any) -> float:
        return float(np.square(model.fit(x, y).predict(fresh) - wanted).mean())

    kinds: Any = ((SubsetOfRegressors, "rank"), (BlockDiagonal, "size"), (Committee, "size"))
    for kind, name in kinds:
        few, more, all_of_them = (
            error(kind(gauss, ridge=1e-3, **{name: number})) for number in (30, 150, 600)
        )
        assert few > more > 0.8 * all_of_them, kind
    assert error(Committee(gauss, ridge=1e-3, size=60)) < 0.8 * error(
        BlockDiagonal(gauss, ridge=1e-3, size=60)
    )


@pytest.mark.parametrize(
    "kind",
    [
        SubsetOfRegressorsClassifier,
        NystromClassifier,
        BlockDiagonalClassifier,
        CommitteeClassifier,
    ],
)
def test_classifiers(kind: Any) -> None:
    x, labels = points(200)
    fresh, wanted = points(100, seed=2)
    direct = KernelRidgeClassifier(gauss, ridge=1e-1).fit(x, labels).score(fresh, wanted)
    size = "rank" if hasattr(kind(), "rank") else "size"
    found = kind(gauss, ridge=1e-1, **{size: 80}).fit(x, labels).score(fresh, wanted)
    assert found > direct - 0.06 > 0.6


@pytest.mark.parametrize("kind", [*LOW, *PARTS, EigenPro])
def test_stored_kernels_give_the_same(kind: Any, tmp_path: Path) -> None:
    x, y, fresh = problem()
    kernel = Gauss(width=2.0)
    tiles = Tiles.create(tmp_path, kernel, x, fresh, side=64, joint=True).compute()
    assert tiles.status()[:2] == (10, 10)
    options: dict[str, Any] = {"ridge": 1e-2}
    if kind is not EigenPro:
        options["rank" if kind in LOW else "size"] = 60
    stored = kind(tiles, **options).fit(tiles.train, y)
    plain = kind(kernel, **options).fit(x, y)
    np.testing.assert_allclose(stored.predict(tiles.valid), plain.predict(fresh), atol=1e-8)


def test_what_a_committee_needs_is_said(tmp_path: Path) -> None:
    x, y, fresh = problem()
    with pytest.raises(SettingError, match="precomputed"):
        Committee("precomputed").fit(gauss(x), y)
    tiles = Tiles.create(tmp_path, Gauss(), x, fresh, side=64).compute()
    with pytest.raises(DataError, match="joint=True"):
        Committee(tiles, size=60).fit(tiles.train, y).predict(tiles.valid)
    with pytest.raises(SettingError, match="pivot='sketch'"):
        Nystrom(gauss, pivot="sketch").fit(x, y)
