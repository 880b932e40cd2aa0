"""Proxies that share passes, scored: a row each in the store, whoever computes them."""

from typing import Any

import numpy as np
import pytest

from nasproxy import Store, score
from nasproxy.data import Dataset
from nasproxy.errors import SettingError
from nasproxy.proxies import GradNorm, Jacov, L2Norm, Params, Snip
from nasproxy.proxies import passes as proxy_passes
from nasproxy.scoring.together import groups
from search_spaces import NASBench201
from tests.support.zero_cost import DEAD, MIXED

SPACE = NASBench201(width=8, cells=1)
ALIVE = "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|nor_conv_3x3~1|skip_connect~2|"
PROXIES: list[Any] = [Snip(batch=8), Params(), GradNorm(batch=8), L2Norm(batch=8)]


def test_scores_are_kept_for_each(tiny_data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    run = proxy_passes._run
    passes = []

    def counted(*args: Any) -> None:
        passes.append(args[0])
        run(*args)

    monkeypatch.setattr(proxy_passes, "_run", counted)
    with Store(None) as store:
        cells = [MIXED, DEAD, ALIVE]
        frame = score(cells, SPACE, PROXIES, tiny_data, seeds=(0, 1), store=store, progress=False)
        assert len(passes) == 6  # One an architecture and seed.
        alone = score([MIXED], SPACE, Snip(batch=8), tiny_data, store=store, progress=False)
        assert len(passes) == 6  # It is there already.
        assert alone["snip"].iloc[0] == frame["snip"][MIXED, 0]
        more = score(
            cells, SPACE, [*PROXIES, Jacov(batch=8)], tiny_data, store=store, progress=False
        )
        assert len(passes) == 9
    first: Any = frame.xs(0, level="seed")
    assert [c for c in frame.columns if " " not in c] == ["snip", "params", "grad_norm", "l2_norm"]
    assert first.index.tolist() == cells
    assert np.isnan(first.loc[DEAD, "snip"])
    assert first.loc[DEAD, "l2_norm"] > 0
    assert (first["grad_norm seconds"] > 0).all()
    (reason,) = frame.attrs["failed"]["snip"]
    assert "no gradient reaches a kernel" in reason
    assert frame.attrs["failed"]["snip"][reason] == 2
    assert more.attrs["failed before"]["grad_norm"] == {reason: 1}
    one = PROXIES[0].prepare(SPACE, tiny_data, 1)(ALIVE).value
    assert frame["snip"][ALIVE, 1] == pytest.approx(one, rel=1e-6)


def test_workers_share_them(tiny_data: Dataset) -> None:
    from concurrent.futures import ThreadPoolExecutor

    here = score([MIXED, ALIVE], SPACE, PROXIES, tiny_data, seeds=(0, 1), progress=False)
    with ThreadPoolExecutor(2) as workers:
        there = score(
            [MIXED, ALIVE],
            SPACE,
            PROXIES,
            tiny_data,
            seeds=(0, 1),
            workers=workers,
            progress=False,
        )
    columns = ["snip", "params", "grad_norm", "l2_norm"]
    np.testing.assert_allclose(here[columns], there[columns], rtol=1e-6)


def test_widths_are_kept_apart() -> None:
    narrow, wide = Snip(width=8), GradNorm(width=16)
    assert groups([Params(), narrow, wide, L2Norm()], SPACE) == [[0], [1, 3], [2]]


def test_one_proxy_is_no_group(tiny_data: Dataset) -> None:
    from nasproxy import Session

    with Store(None) as store, pytest.raises(SettingError, match="stands for several proxies"):
        Session("suite", SPACE, tiny_data, store)
