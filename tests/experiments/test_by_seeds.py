"""Several seeds on other spaces: gains and ceilings come out each way."""

from math import comb
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nasproxy import metrics
from nasproxy.reproduce.statistics import Estimate, columns
from nasproxy_experiments.nngp_mnas import by_seeds
from nasproxy_experiments.nngp_mnas.study import LARGE, SEEDS

N = 300


def made(noise: float, size_noise: float = 2.0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=N)
    nngp = truth + noise * rng.normal(size=(len(SEEDS), N))
    scores = {"NNGP accuracy (8, 8, 1)": nngp}
    for name, extra in (("parameters", 0.0), ("multiply-adds", 1.0), ("counts[conv3x3]", 4.0)):
        scores[name] = (truth + (size_noise + extra) * rng.normal(size=N))[None]
    return scores, truth


@pytest.mark.parametrize(("noise", "sign"), [(0.3, 1), (30.0, -1)])
def test_nngp_gains_over_the_best_single_or_loses_to_it(noise: float, sign: int) -> None:
    scores, truth = made(noise)
    rows = by_seeds.ranked(scores, truth).to_dict("records")
    table: dict[str, Any] = {str(one["score"]): one for one in rows}
    row = table["NNGP accuracy (8, 8, 1)"]
    own = [metrics.kendall_tau(one, truth) for one in scores["NNGP accuracy (8, 8, 1)"]]
    size = metrics.kendall_tau(scores["parameters"][0], truth)
    assert row["τ"] == pytest.approx(np.mean(own))
    assert row[by_seeds.OVER] == pytest.approx(np.mean(own) - size)
    assert sign * row[f"{by_seeds.OVER} {'low' if sign > 0 else 'high'}"] > 0
    assert np.isnan(table["parameters"][by_seeds.OVER]), "the best of size and counts itself"
    mixed = table[f"{by_seeds.MIXED} NNGP accuracy (8, 8, 1)"]
    assert (mixed[f"{by_seeds.OVER} low"] > 0) == (sign > 0)


@pytest.mark.parametrize(("quality", "word"), [(1.0, "more"), (0.0, "nothing"), (-1.0, "less")])
def test_what_is_found_beyond_random(quality: float, word: str) -> None:
    """Of three of a hundred normals: a perfect score finds the largest, one upside down loses."""
    rng = np.random.default_rng(1)
    truth = rng.normal(size=N)
    scores = quality * truth + (quality == 0) * rng.normal(size=(3, N))
    gain = by_seeds.found(scores, truth)
    if word == "more":
        gains = []
        for part in metrics.disjoint_parts(N, 100, 3):
            ordered = np.sort(truth[part])
            chance = [comb(i, 2) / comb(100, 3) for i in range(100)]
            gains.append(ordered[-1] - ordered @ chance)
        assert gain.value == pytest.approx(np.mean(gains))
        assert gain.low > 0
    elif word == "less":
        assert gain.high < 0
    else:
        assert gain.low < 0 < gain.high


def test_a_ceiling_is_between_trainings() -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(size=200)
    frame = pd.DataFrame({i: truth + 0.3 * rng.normal(size=200) for i in range(3)})
    frame.loc[5, 2] = np.nan
    whole = frame.dropna()
    expected = [metrics.kendall_tau(whole[i], whole[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    top = by_seeds.ceiling(frame)
    assert top is not None
    assert top.value == pytest.approx(np.mean(expected))
    assert top.low < top.value < top.high
    assert by_seeds.ceiling(None) is None


@pytest.mark.parametrize(("scored", "said"), [(0, "117 others"), (117, "the same networks")])
def test_whose_trainings_agree_is_said(scored: int, said: str) -> None:
    row = pd.Series({"networks": 117, "of them scored here": scored})
    row = pd.concat([row, pd.Series(columns("τ of two trainings", Estimate(0.9, 0.8, 0.95)))])
    expected = f"Two trainings of {said} agree with τ 0.900 [0.800, 0.950]."
    assert by_seeds.agreement(row) == expected


def test_settings_are_those_that_were_asked_for() -> None:
    sizes = LARGE["accel_nasbench"]
    assert (sizes["n_train"], sizes["n_valid"], max(sizes["ensemble"])) == (1000, 5000, 4)
    assert len(SEEDS) == 3
