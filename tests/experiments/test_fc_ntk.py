"""What the reports on preconditioning and time read off: against closed forms and made-up times."""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasproxy import data
from nasproxy.reproduce.claims import FAILS, HOLDS, UNDECIDED, Claim, judge
from nasproxy_experiments.fc_ntk import fixed_point, modes, preprocessing, timing

CLAIMS: dict[str, Claim] = {
    claim.number: claim
    for claim in importlib.import_module("nasproxy_experiments.fc_ntk.claims").CLAIMS
}


def test_a_diagonal_kernels_modes_converge_at_their_rates() -> None:
    """Each point is a mode of its own: (1 − ηλ/n)^t of its error is left."""
    rng = np.random.default_rng(0)
    values = np.geomspace(50, 0.05, 40)
    found = modes.modes(np.diag(values), rng.normal(size=(40, 3)), 8)
    assert set(found["descent"]) == {"plain", "k = 8"}
    assert (found["measured"] / found["predicted"]).to_numpy() == pytest.approx(1, abs=1e-8)
    damped = found[found["descent"] == "k = 8"].set_index("mode")
    assert damped.loc[:8, "predicted"].to_numpy() == pytest.approx(damped.loc[9, "predicted"])


def judged(number: str, results: Path) -> str:
    claim = CLAIMS[number]
    (results / claim.report).parent.mkdir(parents=True, exist_ok=True)
    (results / claim.report).touch()
    return judge(claim, results).verdict


@pytest.mark.parametrize(("factor", "verdict"), [(1.01, HOLDS), (1.2, FAILS)])
def test_rates_that_deviate_refute(factor: float, verdict: str, tmp_path: Path) -> None:
    folder = tmp_path / "fc_ntk/modes"
    folder.mkdir(parents=True)
    rates = np.geomspace(1e-3, 1, 20)
    for_draws = [
        pd.DataFrame({"draw": i, "descent": "plain", "predicted": rates, "measured": rates})
        for i in range(modes.DRAWS)
    ]
    for i, one in enumerate(for_draws):
        one["measured"] *= np.where(one.index == 5, factor + 1e-3 * i, 1)
    pd.concat(for_draws).assign(mode=20).to_csv(folder / "raw.csv")
    assert judged("4", tmp_path) == verdict


@pytest.mark.parametrize("ridge", fixed_point.RIDGES)
@pytest.mark.parametrize(("apart", "verdict"), [(1e-4, HOLDS), (0.3, FAILS), (np.nan, UNDECIDED)])
def test_functions_apart_refute(ridge: float, apart: float, verdict: str, tmp_path: Path) -> None:
    """At one regulariser; one solve of it that did not end leaves the claim open."""
    folder = tmp_path / "fc_ntk/fixed_point"
    folder.mkdir(parents=True)
    rows = [
        {"λ": one, "draw": i, "apart": 1e-6 * (1 + i)}
        for one in fixed_point.RIDGES
        for i in range(fixed_point.DRAWS)
    ]
    frame = pd.DataFrame(rows)
    chosen = frame["λ"] == ridge
    frame.loc[chosen, "apart"] = [apart, 1.01 * apart, 1e-6 if np.isnan(apart) else 0.99 * apart]
    frame.to_csv(folder / "raw.csv")
    assert judged("5", tmp_path) == verdict


@pytest.mark.parametrize(
    ("logarithms", "verdict"),
    [((3.6, 4.4), HOLDS), ((3.2, 3.4), FAILS), ((4.6, 5.0), FAILS), ((3.4, 4.0), UNDECIDED)],
)
def test_preprocessings_decide_together(
    logarithms: tuple[float, float], verdict: str, tmp_path: Path
) -> None:
    folder = tmp_path / "fc_ntk/preprocessing"
    folder.mkdir(parents=True)
    pd.DataFrame({"images": 5000, "log10": logarithms}).to_csv(folder / "preprocessing.csv")
    assert judged("2", tmp_path) == verdict


def times(kernel: dict[int, float], power: float) -> pd.DataFrame:
    """Repeats that differ by a hundredth; networks' epochs take depth to a power."""
    rows = []
    for repeat in range(4):
        noise = 1 + 0.01 * repeat
        for depth, seconds in kernel.items():
            made = {"repeat": repeat, "depth": depth}
            rows.append({"what": "kernel", "seconds": seconds * noise} | made)
            rows.append({"what": "network", "seconds": 10.0 * noise} | made)
            rows.append({"what": "epoch", "seconds": depth ** (power + 0.001 * repeat)} | made)
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("kernel", "power", "verdicts"),
    [
        ({1: 4.0, 5: 2.0, 10: 3.0, 50: 6.0}, 1.0, (HOLDS, HOLDS, HOLDS)),
        ({1: 1.0, 5: 2.0, 10: 3.0, 50: 20.0}, 0.5, (FAILS, FAILS, FAILS)),
    ],
)
def test_times_decide(
    kernel: dict[int, float], power: float, verdicts: tuple[str, str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "fc_ntk/timing"
    folder.mkdir(parents=True)
    raw = times(kernel, power)
    raw.to_csv(folder / "raw.csv")
    assert timing.exponent(raw).value == pytest.approx(power + 0.0015)
    assert timing.interior(raw).value == pytest.approx(min(kernel[1], kernel[50]) / 2)
    assert timing.advantage(raw).value == pytest.approx(10 / kernel[50])
    assert tuple(judged(number, tmp_path) for number in ("12", "21", "22")) == verdicts


def test_two_depths_have_none_between() -> None:
    raw = times({1: 1.0, 5: 2.0}, 1.0)
    assert np.isnan(timing.interior(raw).value)
    assert np.isnan(timing.exponent(raw).value)


def test_pixels_are_those_that_are_stored() -> None:
    digits = data.load("digits")
    given, pixels = preprocessing.images(digits, 100)
    order = digits.balanced_order("train", 0)[:100]
    stored = np.asarray(digits.train_images[order], float).reshape(100, -1)
    assert pixels == pytest.approx(stored / stored.max(), abs=1e-6)
    scaled = preprocessing.unit(given)
    assert np.square(scaled).sum(1) == pytest.approx(given.shape[1], rel=1e-5)
