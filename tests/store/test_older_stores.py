"""A store that version 0.1.0 wrote: every score is found, none is computed again, and it ranks.

``stored_by_0.1.0.db`` holds what ``nasproxy score SPACE --sample 5 --data digits …`` stored, two
architectures a proxy.
"""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasproxy import data
from nasproxy.named import proxy_of, space_of
from nasproxy.ranking import rank_store
from nasproxy.ranking.reference import truth_from_store
from nasproxy.scoring import score
from nasproxy.settings import describe
from nasproxy.store import Store

OLD = Path(__file__).with_name("stored_by_0.1.0.db")
ASKED = {
    "nasbench101": ("nngp:n_train=100/200,n_valid=100", "ntk:n_train=40,n_valid=40", "params"),
    "nasbench201": ("nngp:n_train=100/200,n_valid=100", "training:epochs=1", "flops"),
    "nasbench_macro": ("nngp:n_train=100/200,n_valid=100", "training:epochs=1", "macs"),
    "fully_connected": ("ntk:n_train=40,n_valid=40", "training:epochs=1", "params"),
}
"""By space what the same commands ask for today."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return Path(shutil.copy(OLD, tmp_path / "scores.db"))


def contents(path: Path) -> list[Any]:
    with Store(path) as opened:
        return [(r.key, r.value, r.created) for r in opened.records()]


@pytest.mark.parametrize("name", ASKED)
def test_nothing_is_computed_again(name: str, store: Path) -> None:
    before = contents(store)
    space = space_of(name)
    asked = proxy_of(ASKED[name][0]).name
    keys = [
        k.architecture
        for k, _, _ in before
        if (k.space, k.proxy.partition(":")[0])
        == (describe(dataclasses.replace(space, width=16), name, full=True), asked)
    ]
    architectures = [space.find(key) for key in keys[:2]]
    assert len(architectures) == 2
    proxies = [proxy_of(text, width=16) for text in ASKED[name]]
    frame = score(architectures, space, proxies, data.load("digits"), store=store, progress=False)
    assert contents(store) == before
    assert np.isfinite(frame.to_numpy()).all()
    stored = {
        (key.proxy.partition(":")[0], key.architecture): value
        for key, value, _ in before
        if key.space.startswith(name)
    }
    for proxy in proxies:
        for key, value in frame[proxy.name].items():
            assert value == stored[proxy.name, key]


def test_it_ranks(store: Path) -> None:
    with Store(store) as opened:
        table = rank_store(opened, truth_from_store(opened, "params", space="nasbench101"))
    rows = table[table["space"].str.startswith("nasbench101")].set_index("proxy")
    assert rows["n"]["nngp:n_train=200,n_valid=100"] == 2
    assert rows["n"]["training:epochs=1"] == 2
