"""Threads or processes: chosen as was measured, and as memory allows."""

from types import SimpleNamespace

import psutil
import pytest

from nasproxy import NNGP, Params
from nasproxy.proxies.counts import Counts
from nasproxy.proxies.training import Training
from nasproxy.scoring import automatic
from nasproxy.scoring.automatic import SCORES, processes

DIGITS, SMALL, CIFAR = (8, 8, 1), (16, 16, 3), (32, 32, 3)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four cores and 100 GiB."""
    monkeypatch.setattr(automatic, "cores", lambda: 4)
    memory = SimpleNamespace(available=100 * 2**30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)


def test_many_small_images_are_shared_out() -> None:
    assert processes([NNGP(), Params(), Counts()], SCORES, DIGITS) == 4
    assert processes([NNGP()], SCORES, SMALL) == 4


@pytest.mark.parametrize(
    ("proxies", "scores", "shape"),
    [
        ([NNGP()], SCORES - 1, DIGITS),
        ([NNGP()], SCORES, CIFAR),
        ([Params(), Counts()], SCORES, DIGITS),
        ([NNGP(), Training(epochs=1)], SCORES, DIGITS),
    ],
)
def test_the_rest_stays_in_one_process(
    proxies: list[object], scores: int, shape: tuple[int, int, int]
) -> None:
    assert processes(proxies, scores, shape) is None  # type: ignore[arg-type]


def test_no_more_than_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    for gigabytes, count in ((3, 3), (1, None), (0, None)):
        memory = SimpleNamespace(available=gigabytes * 2**30)
        monkeypatch.setattr(psutil, "virtual_memory", lambda memory=memory: memory)
        assert processes([NNGP()], SCORES, DIGITS) == count
