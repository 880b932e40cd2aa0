"""Latency: what is timed, and what its numbers are; by a clock that the test turns."""

from itertools import accumulate
from typing import Any

import jax
import numpy as np
import pytest

from nasproxy import machine
from nasproxy.data import Dataset
from nasproxy.errors import SettingError
from nasproxy.metrics import MetricError, mnas_reward
from nasproxy.named import proxy_of
from nasproxy.networks.initialised import Initialised
from nasproxy.proxies import Latency
from nasproxy.proxies.latency import time as clock
from nasproxy.ranking import rank_store
from nasproxy.ranking.reference import truth_from_store
from nasproxy.scoring import run_id, score
from nasproxy.store import Store
from search_spaces import NASBench201

SPACE = NASBench201(width=8, cells=1)
ARCHITECTURE = SPACE.sample(1, 0)[0]


def test_medians_of_what_follows_the_warmup(
    tiny_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch 1, then the batch; two slow passes are not counted, an outlier moves no median."""
    passes = [9, 9, 0.002, 0.001, 0.003, 9, 9, 0.008, 5, 0.007]
    ticks = iter(accumulate(x for seconds in passes for x in (0.0, seconds)))
    monkeypatch.setattr(clock, "perf_counter", lambda: next(ticks))
    score = Latency(batch=4, repeats=3, warmup=2).prepare(SPACE, tiny_data, 0)(ARCHITECTURE)
    assert score.value == pytest.approx(-2)
    assert score.columns == {"images=4": pytest.approx(-8)}
    assert score.info["milliseconds"]["images=1"] == pytest.approx([1.5, 2, 2.5])
    graph = SPACE.graph(ARCHITECTURE, tiny_data.image_shape, tiny_data.classes)
    assert score.flops == graph.flops * 5 * (1 + 4)
    assert next(ticks, None) is None


def test_passes_run_to_the_logits_and_are_waited_for(
    tiny_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, ...]] = []
    logits = Initialised.logits

    class Watched:
        def __init__(self, output: jax.Array):
            self.output = output

        def block_until_ready(self) -> None:
            sizes.append(self.output.block_until_ready().shape)

    monkeypatch.setattr(Initialised, "logits", lambda self, x: Watched(logits(self, x)))
    Latency(batch=3, repeats=2, warmup=1).prepare(SPACE, tiny_data, 0)(ARCHITECTURE)
    assert sizes == [(1, 4)] * 3 + [(3, 4)] * 3


def test_a_batch_of_one_is_no_second_column(tiny_data: Dataset) -> None:
    score = Latency(batch=1, repeats=1, warmup=1).prepare(SPACE, tiny_data, 0)(ARCHITECTURE)
    assert score.value < 0
    assert score.columns == {}


@pytest.mark.parametrize("settings", [{"batch": 0}, {"repeats": 1.5}, {"warmup": True}])
def test_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=f"{next(iter(settings))}=.* of latency"):
        Latency(**settings)


def test_width_of_the_command_line_leaves_it_the_network_that_macs_counts() -> None:
    spaces = {run_id(SPACE, proxy_of(name, 16))[0] for name in ("latency", "macs", "params")}
    assert len(spaces) == 1
    assert run_id(SPACE, proxy_of("nngp", 16))[0] not in spaces


def test_another_machine_measures_anew(tiny_data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = Latency(batch=1, repeats=1, warmup=1)
    architectures = SPACE.sample(3, 0)
    with Store(None) as store:
        for cpu in (
            "Intel(R) Xeon(R) CPU E5-2686 v4 @ 2.30GHz",
            "Odd, a/b=c:d[e]",
            "Odd, a/b=c:d[e]",
        ):
            monkeypatch.setattr(machine, "name", lambda cpu=cpu: machine.plain(cpu))
            score(architectures, SPACE, quick, tiny_data, store=store, progress=False)
        assert [group.ok for group in store.groups()] == [3, 3]
        with pytest.raises(SettingError, match="fits 2 columns") as raised:
            truth_from_store(store, "latency")
        odd = "latency:batch=1,repeats=1,warmup=1,machine=Odd a b c d e"
        assert odd in str(raised.value)
        (row,) = rank_store(store, truth_from_store(store, odd)).to_dict("records")
        assert "machine=Intel(R) Xeon(R) CPU E5-2686 v4 @ 2.30GHz" in row["proxy"]
        with pytest.raises(SettingError, match=r"machine='phone' of latency: this is 'Odd"):
            Latency(machine="phone").prepare(SPACE, tiny_data, 0)


def test_this_machine_has_a_name_that_settings_can_hold() -> None:
    assert proxy_of(f"latency:machine={machine.name()}", 16) == Latency(machine=machine.name())


def test_reward_of_mnasnet() -> None:
    """At the target nothing is lost; twice the latency costs 5 %, as Tan et al. chose w for."""
    reward = mnas_reward([0.5, 0.5, 0.5], [75, 150, 37.5])
    np.testing.assert_allclose(reward, [0.5, 0.5 * 0.9526, 0.5 / 0.9526], rtol=1e-4)
    assert mnas_reward([70.0, 60.0], [80, 20], target=80, exponent=-1).tolist() == [70.0, 240.0]


def test_reward_of_no_latency() -> None:
    with pytest.raises(MetricError, match=r"latency_ms\[1\] is -3; .*sign turned"):
        mnas_reward([0.5, 0.5], [3, -3])
    with pytest.raises(MetricError, match="lengths differ"):
        mnas_reward([0.5, 0.5], [3, 3, 3])
    with pytest.raises(SettingError, match="target=0"):
        mnas_reward([0.5, 0.5], [3, 3], target=0)
