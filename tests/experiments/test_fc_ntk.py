"""What the reports on preconditioning and time read off: against closed forms and made-up times."""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasproxy import data
from nasproxy.errors import SettingError
from nasproxy.reproduce.claims import FAILS, HOLDS, UNDECIDED, Claim, judge
from nasproxy.reproduce.suites import Options
from nasproxy_experiments.fc_ntk import (
    accuracy,
    finite_networks,
    fixed_point,
    memory,
    modes,
    paper_steps,
    prepare,
    preprocessing,
    timing,
)

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
        {"λ": one, "draw": i, "images": 500, "apart": 1e-6 * (1 + i)}
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


@pytest.mark.parametrize(("power", "verdict"), [(1.0, HOLDS), (2.0, FAILS), (1.25, UNDECIDED)])
def test_memory_that_grows_with_the_square_refutes(
    power: float, verdict: str, tmp_path: Path
) -> None:
    folder = tmp_path / "fc_ntk/memory"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = [
        {"images": p, "repeat": repeat, "MiB": 1e-3 * p**power * (1 + 0.02 * rng.normal())}
        for repeat in range(memory.REPEATS)
        for p in (2500, 5000, 10_000, 20_000)
    ]
    pd.DataFrame(rows).to_csv(folder / "raw.csv")
    assert judged("23", tmp_path) == verdict


@pytest.mark.parametrize(
    ("first", "fifth", "fiftieth", "verdicts"),
    [
        (0.55, 0.50, 0.80, (HOLDS, HOLDS)),
        (0.50, 0.55, 0.40, (FAILS, FAILS)),
        (0.50, 0.50, np.nan, (UNDECIDED, UNDECIDED)),
    ],
)
def test_networks_by_the_papers_steps_decide(
    first: float, fifth: float, fiftieth: float, verdicts: tuple[str, str], tmp_path: Path
) -> None:
    """Networks that diverge leave open what rests on their mean."""
    folder = tmp_path / "fc_ntk/paper_steps"
    folder.mkdir(parents=True)
    rows = [
        {"depth": depth, "seed": seed, "error": error + 0.002 * seed, "seconds": 1.0}
        for depth, error in ((1, first), (5, fifth), (50, fiftieth))
        for seed in range(3)
    ]
    raw = pd.DataFrame(rows)
    raw.to_parquet(folder / "scores.parquet")
    assert tuple(judged(number, tmp_path) for number in ("15", "16")) == verdicts
    table = paper_steps.by_depth(raw).set_index("depth")
    assert table.loc[1, "error"] == pytest.approx(first + 0.002)
    assert table.loc[1, "error high"] == pytest.approx(
        first + 0.002 + 4.303 * 0.002 / np.sqrt(3), abs=1e-6
    )


def test_networks_that_diverge_are_counted_and_not_averaged() -> None:
    """A kernel that orders depths as the others do has τ 1 beside the half that failed."""
    short, fitted = finite_networks.KINDS.values()
    rows = [
        {"trained": trained, "width": 64, "depth": depth, "seed": seed, "seconds": 1.0 + seed}
        | {"error": 0.1 * depth + 0.01 * seed, "kernel error": 0.2 * depth}
        | {"epochs": 15.0 if (depth, seed) == (3, 1) else 9.0}
        for trained in (short, fitted)
        for depth in (1, 2, 3)
        for seed in (0, 1, 2)
    ]
    raw = pd.DataFrame(rows)
    raw.loc[(raw["depth"] == 1) & (raw["seed"] == 2) & (raw["trained"] == short), "error"] = np.nan
    table = finite_networks.by_depth(raw)
    at_first, own = table[table["depth"] == 1], table[table["trained"] == fitted]
    assert at_first["error"].tolist() == pytest.approx([0.105, 0.11])
    assert at_first["failed"].tolist() == [1, 0]
    assert own["reached"].tolist() == ["3/3", "3/3", "2/3"]
    assert set(table.loc[table["trained"] == short, "reached"]) == {""}
    found = finite_networks.ranked(raw).set_index("trained")
    # A network that diverged errs always: the mean at depth 1 is (.1 + .11 + 1) / 3 then.
    assert found["τ"].to_dict() == pytest.approx({fitted: 1, short: -1 / 3})


@pytest.mark.parametrize(
    ("reached", "said"),
    [
        ("2/3", ", 2 of 3 at depth 10 came to 80 %"),
        ("3/3", ""),
        ("", ""),
        (float("nan"), ""),
        (None, ""),
    ],
)
def test_networks_short_of_80_percent_are_named(reached: object, said: str) -> None:
    assert finite_networks.short(reached, 10) == said


def test_the_most_accurate_depth_of_each_number_of_images() -> None:
    rows = [
        {"solver": "direct", "images": images, "validated": 100, "depth": depth, "accuracy": value}
        for images, values in ((10, (0.3, 0.5, 0.4)), (20, (0.6, 0.5, 0.4)))
        for depth, value in zip((1, 2, 3), values, strict=True)
    ]
    table = accuracy.best(pd.DataFrame(rows).assign(**{accuracy.TRAINED: 0.99}))
    assert table["best depth"].tolist() == [2, 1]
    assert table["accuracy"].tolist() == [0.5, 0.6]
    assert table["standard error"].iloc[0] == pytest.approx(0.05)
    assert set(table["of depths"]) == {"1, 2 and 3"}


def test_memory_is_that_of_a_process_of_its_own() -> None:
    """A block of so many bytes more shows as so many more."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("only Linux forgets a peak on request")
    rng = np.random.default_rng(0)
    labels = np.arange(4000) % 10
    few, many = (
        memory._fit(rng.normal(size=(4000, d)).astype(np.float32), labels, 0) for d in (8, 2048)
    )
    assert 4000 * 2040 * 4 / 2**20 < many - few < 40 * 4000 * 2040 / 2**20
    with pytest.raises(SettingError, match="only Linux"):
        memory.resident("VmNothing")


def test_what_stands_for_cifar_100(tmp_path: Path) -> None:
    """Its claims hold or stay open: other data cannot refute."""
    folder = tmp_path / "fc_ntk_tiny_imagenet100"
    for name in ("depth", "finite_networks"):
        (folder / name).mkdir(parents=True)
    errors = {1: 0.8, 3: 0.8, 5: 0.8, 10: 0.8, 20: 0.7, 50: 0.8}
    kernels = [
        {"solver": "squared loss", "k": 500, "depth": depth, "error": error}
        | {"fit seconds": 30, "kernel seconds": depth, "validated": 3000}
        for depth, error in errors.items()
    ]
    networks = [
        {"trained": trained, "width": 128, "depth": depth, "error": error, "standard error": 1e-3}
        for trained, shift in (("5 epochs", 0.0), ("to 80 % training accuracy or 15 epochs", -0.2))
        for depth, error in ((1, 0.8), (3, 0.8), (5, 0.8 + shift), (10, 0.85))
    ]

    def write() -> None:
        pd.DataFrame(kernels).to_csv(folder / "depth/depth.csv")
        pd.DataFrame(networks).to_csv(folder / "finite_networks/networks.csv")

    write()
    assert [judged(number, tmp_path) for number in ("13", "14", "17", "19")] == [HOLDS] * 4
    for one in kernels:
        one["error"] = 0.8 - 1e-3 * one["depth"]
        one["fit seconds"] = 70
    for one in networks:
        one["error"] = 0.8 - 1e-2 * one["depth"]
    write()
    assert [judged(number, tmp_path) for number in ("13", "14", "17", "19")] == [UNDECIDED] * 4


@pytest.mark.parametrize(
    ("given", "name"),
    [(None, "fc_ntk_embedded"), ("digits", "fc_ntk_digits"), ("digits:pool=2", "fc_ntk_digits")],
)
def test_other_data_have_a_folder_of_their_own(
    given: str | None, name: str, tmp_path: Path
) -> None:
    made = prepare(Options(data=given, points=100, out=tmp_path, store=tmp_path / "s.db"))
    made.close()
    assert made.name == name
