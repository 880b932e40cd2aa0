"""The default by experiment: its rule comes out each way, and its report is of the raw scores."""

import re
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nasproxy.errors import SettingError
from nasproxy.metrics import Estimate
from nasproxy.proxies.kernel_regression import MEASURES
from nasproxy.reproduce.scores import Request, Scores
from nasproxy.reproduce.suites import Options
from nasproxy_experiments import nngp_default
from nasproxy_experiments.nngp_default import choice, measures, parts, study
from nasproxy_experiments.nngp_default.choice import Candidate, Half
from nasproxy_experiments.nngp_default.parts import Compared
from search_spaces import NASBench101

RESULTS = Path(__file__).parents[2] / "results" / "nngp_default"
USUAL = Candidate(("accuracy",), 500, 1)
GOOD, GOOD_CHEAP, DEAR = (
    Candidate(("negative_gcv",), 500, 2),
    Candidate(("negative_gcv",), 200, 2),
    Candidate(("negative_gcv",), 1000, 4),
)
COSTS = {USUAL: 2.0, GOOD: 3.0, GOOD_CHEAP: 1.0, DEAR: 9.0}


def made_up(noise: dict[Candidate, float], seed: int, cells: int = 120, seeds: int = 3) -> Half:
    """Scores that are the truth with so much noise."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=cells)
    scores = {c: truth + s * rng.normal(size=(seeds, cells)) for c, s in noise.items()}
    return Half(scores, truth, [str(i) for i in range(cells)])


@pytest.mark.parametrize(("usual", "changed"), [(6.0, True), (1.0, False), (0.2, False)])
def test_the_default_changes_only_for_what_surely_ranks_better(usual: float, changed: bool) -> None:
    noise = {USUAL: usual, GOOD: 0.9, GOOD_CHEAP: 3.0, DEAR: 0.1}
    choosing = made_up(noise | {USUAL: 6.0}, 0)
    judging = made_up(noise, 1)
    decision = choice.decide(choosing, judging, COSTS, USUAL, limit=4.0)
    assert decision.winner == GOOD, "the best that costs no more than the limit"
    assert decision.changed == changed
    assert decision.share == 0.75
    said = choice.sentence(decision, judging, "cost", full=False)
    assert said.startswith("The default becomes" if changed else "The default stays")
    assert "120 other cells by 3 other seeds" in said
    assert f"{decision.gain.value:+.3f}" in said


def test_luck_where_it_was_chosen_does_not_count() -> None:
    """What is best on one half and noise on the other."""
    choosing = made_up({USUAL: 3.0, GOOD: 0.1}, 0)
    judging = made_up({USUAL: 3.0, GOOD: 50.0}, 1)
    decision = choice.decide(choosing, judging, COSTS, USUAL, limit=4.0)
    assert decision.winner == GOOD
    assert not decision.changed


def test_of_what_ranks_alike_the_cheapest_is_chosen() -> None:
    half = made_up({USUAL: 2.0, GOOD: 0.5}, 0)
    alike = Half(half.scores | {GOOD_CHEAP: half.scores[GOOD] + 1}, half.truth, half.keys)
    assert choice.chosen(alike, COSTS, 4.0) == GOOD_CHEAP
    assert choice.chosen(alike, COSTS | {GOOD_CHEAP: 3.5}, 4.0) == GOOD
    with pytest.raises(SettingError, match=r"costs 0\.5 or less, the least costs 1"):
        choice.chosen(alike, COSTS, 0.5)


def test_cells_without_a_score_by_every_candidate_are_left_out() -> None:
    rng = np.random.default_rng(0)
    names = ("negative_gcv", "loo_accuracy")
    scores = {Candidate((m,), 100, 1): rng.normal(size=(2, 6)) for m in names}
    scores[Candidate(names[:1], 100, 1)][1, 4] = np.nan
    half = choice.half(scores, pd.Series(rng.normal(size=6), index=list("abcdef")))
    assert half.keys == list("abcdf")
    both = half.scores[Candidate(names, 100, 1)]
    alone = [half.scores[Candidate((m,), 100, 1)][0] for m in names]
    order = [values.argsort().argsort() for values in alone]
    np.testing.assert_allclose(both[0], 1 + np.mean(order, axis=0))


def frames(folder: Path) -> tuple[dict[int, Scores], pd.DataFrame]:
    """The committed raw scores, as the suite reads them from its store."""
    raw = pd.read_parquet(folder).reset_index("seed")
    by_seed = {seed: raw[raw["seed"] == seed] for seed in study.SEEDS}
    requests = study.requests(study.CELLS, study.PART_CELLS, small=False)
    found = {seed: Scores(requests[study.need(seed)], frame, {}) for seed, frame in by_seed.items()}
    return found, by_seed[0]


def test_the_report_is_of_the_committed_scores() -> None:
    by_seed, one = frames(RESULTS / "scores.parquet")
    choosing, judging = measures.halves(by_seed, one["test_accuracy_108"])
    table = pd.read_csv(RESULTS / "measures" / "candidates.csv")
    assert len(table) == len(choosing.scores)
    for row in table.to_dict("records"):
        candidate = Candidate(tuple(row["measure"].split(" + ")), row["n_t"], row["M"])
        assert choice.mean_tau(choosing, candidate) == pytest.approx(row["τ, choosing"], abs=5e-4)
        assert choice.mean_tau(judging, candidate) == pytest.approx(row["τ, judging"], abs=5e-4)
    space = NASBench101(width=study.WIDTH)
    graphs = [space.graph(space.find(key), (32, 32, 3), 10) for key in one.index[:40]]
    settings = by_seed[0].settings
    costs, limit = measures.charged(graphs, 10, settings, list(choosing.scores))
    usual = Candidate(("accuracy",), choice.nearest(settings), 1)
    assert usual == USUAL
    decision = choice.decide(choosing, judging, costs, usual, limit)
    report = (RESULTS / "measures" / "README.md").read_text(encoding="utf-8")
    said = choice.sentence(decision, judging, "cost", full=False)
    alike(said, report.partition("**Here.** ")[2].split("\n")[0])


def alike(said: str, printed: str) -> None:
    """Sentences have the same words, and numbers that differ by rounding: scores are float32."""
    found, expected = (re.findall(r"[+-]?\d*\.\d+|[A-Za-z_]+", text) for text in (said, printed))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        if re.search(r"\d", other):
            assert float(one) == pytest.approx(float(other), abs=0.0021), said
        else:
            assert one == other


def kept_parts(folder: Path) -> tuple[Any, dict[str, Scores]]:
    """The committed scores of the parts, and what their halves are made from."""
    raw = pd.read_parquet(folder / "scores.parquet").reset_index()
    requests = study.requests(study.CELLS, study.PART_CELLS, small=False)
    scores, pools = {}, {}
    for seeds, look in product(study.HALVES.values(), study.LOOKS):
        for seed in seeds:
            frame = raw[(raw["part"] == look) & (raw["seed"] == seed)].set_index("architecture")
            side = 32 // study.LOOKS[look].pool
            name = study.part(look, seed)
            scores[name] = Scores(requests[name], frame.drop(columns=["part", "half"]), {})
            pools[name] = SimpleNamespace(
                architectures=dict.fromkeys(frame.index),
                images=SimpleNamespace(image_shape=(side, side, 3)),
            )
    truth = raw.drop_duplicates("architecture").set_index("architecture")["truth"]
    return SimpleNamespace(truth=truth, pool_of=pools.__getitem__), scores


def test_the_report_on_parts_is_of_the_committed_scores() -> None:
    """Every τ, the setting that the rule chooses, and what it gains."""
    folder = RESULTS / "parts"
    own, scores = kept_parts(folder)
    choosing, judging = (parts._half(own, scores, half) for half in study.HALVES)
    table = pd.read_csv(folder / "candidates.csv")
    assert len(table) == len(choosing.scores)
    for row in table.to_dict("records"):
        sizes = row["n_t"], row["M"], row["width"], row["pixels"]
        candidate = Candidate(tuple(row["measure"].split(" + ")), *sizes)
        for half, name in ((choosing, "choosing"), (judging, "judging")):  # Rounding makes ties.
            found = choice.mean_tau(half, candidate)
            assert found == pytest.approx(row[f"τ, {name}"], abs=5e-3)
    costs = parts.seconds(pd.read_csv(folder / "seconds.csv"), list(choosing.scores), 200)
    assert costs[USUAL] == pytest.approx(
        table.set_index(["measure", "width", "pixels", "n_t", "M"])["seconds"][
            "accuracy", 16, 32, 500, 1
        ]
    )
    limit = costs[USUAL] * 1024 / 700  # (512, 512, 1) for (500, 200, 1).
    decision = choice.decide(choosing, judging, costs, USUAL, limit)
    report = (folder / "README.md").read_text(encoding="utf-8")
    said = choice.sentence(decision, judging, "seconds", full=True)
    alike(said, report.partition("**Here.** ")[2].partition(" At equal cost")[0])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = nngp_default.prepare(
        Options(out=tmp_path_factory.mktemp("out"), quick=True, cells=12, progress=False)
    )
    yield made
    made.close()


def test_halves_share_neither_cells_nor_seeds(prepared: Any) -> None:
    cells: dict[str, set[str]] = {}
    for half, seeds in study.HALVES.items():
        for look, seed in product(study.LOOKS, seeds):
            name = study.part(look, seed)
            pool = prepared.pool_of(name)
            cells.setdefault(half, set()).update(pool.architectures)
            assert len(pool.architectures) == prepared.requests[name].cells
            assert prepared.requests[name].seed == seed
            side = 8 // study.LOOKS[look].pool
            assert pool.images.image_shape == (side, side, 1)
    first = set(list(prepared.pool.architectures)[:12])
    assert not cells["choosing"] & cells["judging"]
    assert not first & (cells["choosing"] | cells["judging"])
    assert len({*study.SEEDS, *study.HALVES["choosing"], *study.HALVES["judging"]}) == 9
    assert prepared.pool_of(study.need(0)) is prepared.pool
    lines = "\n".join(prepared.describe([study.part("16×16 pixels", 5), study.need(0)]))
    assert "on digits:pool=2" in lines


@pytest.mark.slow
def test_every_look_is_timed_on_the_same_cell(
    prepared: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "TIMED", 1)
    times = parts.timed(prepared)
    looks = list(zip(times["width"], times["pixels"], strict=True))
    assert looks == [(16, 8), (16, 4), (8, 8), (32, 8)]
    assert times[parts.RATE].gt(0).all()
    assert times[parts.RATE].max() < 1


BASE = Candidate(parts.MEASURE, 500, 1)
NARROW = BASE._replace(width=8, ensemble=4)


def test_settings_are_held_against_what_costs_as_much() -> None:
    settings = [BASE, BASE._replace(ensemble=2), NARROW, BASE._replace(n_train=200)]
    half = made_up(dict.fromkeys([*settings, USUAL], 1.0), 0, cells=40, seeds=2)
    costs = dict(zip([*settings, USUAL], [1.0, 2.0, 1.8, 0.4, 1.4], strict=True))
    (pair,) = parts.compared(half, half, costs, USUAL)
    assert (pair.setting, pair.other) == (NARROW, BASE._replace(ensemble=2))
    gain = choice.mean_tau(half, NARROW) - choice.mean_tau(half, pair.other)
    assert pair.judging.value == pytest.approx(gain)


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        ([(0.1, 0.2), (-0.1, 0.2)], "wins at 1 of 2 settings"),
        ([(-0.2, -0.1), (-0.1, 0.2)], "loses at 1 of 2 settings"),
        ([(0.1, 0.2), (-0.2, -0.1)], "wins at 1 and loses at 1 of 2 settings"),
        ([(-0.1, 0.2), (-0.1, 0.2)], "is not told apart at any of 2 settings"),
    ],
)
def test_a_setting_wins_where_its_interval_says_so(
    gains: list[tuple[float, float]], said: str
) -> None:
    estimates = [Estimate((low + high) / 2, low, high) for low, high in gains]
    pairs = [Compared(NARROW, BASE, one, one) for one in estimates]
    assert parts.outcomes(pairs, USUAL).startswith(f"width 8 at 32×32 pixels {said} (")
    more = [Compared(BASE._replace(n_train=200), BASE, one, one) for one in estimates]
    assert parts.outcomes(more, USUAL).startswith(f"n_t 200 with more members {said} (")
    assert parts.outcomes([], USUAL) == "no two settings cost alike"


def test_seconds_charge_what_is_used() -> None:
    times = pd.DataFrame({"width": [16, 8], "pixels": 32, parts.RATE: [2.0, 0.5]})
    accurate = BASE._replace(measures=("accuracy",))
    found = parts.seconds(times, [BASE, accurate, NARROW], n_valid=200)
    assert found == {BASE: 1000.0, accurate: 1400.0, NARROW: 1000.0}


def invented(better: str) -> tuple[Any, dict[str, Scores], pd.DataFrame]:
    """Scores in which one part ranks as the truth does, and all else is noise."""
    rng = np.random.default_rng(0)
    requests = study.requests(50, 80, small=False)
    images = {
        1: SimpleNamespace(image_shape=(32, 32, 3)),
        2: SimpleNamespace(image_shape=(16, 16, 3)),
    }
    keys = {half: [f"{half}{i}" for i in range(40)] for half in study.HALVES}
    truth = pd.Series(rng.normal(size=80), index=[k for some in keys.values() for k in some])
    pools, scores = {}, {}
    for (half, seeds), (look, about) in product(study.HALVES.items(), study.LOOKS.items()):
        for seed in seeds:
            request: Request = requests[study.part(look, seed)]
            noise = 0.1 if look == better else 30.0
            columns = {
                "nngp" if s == request.settings[-1] else f"nngp[{s.label}]": s
                for s in request.settings
            }
            frame = {}
            for name, _ in columns.items():
                for m in MEASURES:
                    inner = name[5:-1] if name != "nngp" else ""
                    parted = ",".join(filter(None, (inner, "" if m == "accuracy" else m)))
                    frame[f"nngp[{parted}]" if parted else "nngp"] = truth[
                        keys[half]
                    ] + noise * rng.normal(size=40)
            scores[study.part(look, seed)] = Scores(request, pd.DataFrame(frame), {})
            pools[study.part(look, seed)] = SimpleNamespace(
                architectures=dict.fromkeys(keys[half]), images=images[about.pool]
            )
    own: Any = SimpleNamespace(
        truth=truth,
        images=images[1],
        pool_of=pools.__getitem__,
        sizes=pd.DataFrame({"params": truth}),
    )
    looks = {(a.width, 32 // a.pool): a for a in study.LOOKS.values()}
    times = pd.DataFrame(
        [{"width": w, "pixels": p, parts.RATE: w**3 * p * p / 1e6} for w, p in looks]
    )
    return own, scores, times


@pytest.mark.parametrize(
    ("better", "look", "said"),
    [
        ("16×16 pixels", (16, 16), "The default becomes"),
        ("width 32", (32, 32), "The default stays"),
    ],
)
def test_parts_report_what_wins_for_its_seconds(
    better: str, look: tuple[int, int], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wide networks rank best here, and cost more than today's default."""
    monkeypatch.setattr(choice, "RESAMPLES", 5)
    monkeypatch.setattr(choice, "OF_GAINS", 60)
    own, scores, times = invented(better)
    kept = parts.raw(own, scores)
    finding = parts.report(own, scores, times, kept)
    assert finding.verdict.startswith(said)
    assert f"width {look[0]} at {look[1]}×{look[1]} pixels wins" in finding.verdict
    levels = finding.tables["equal_cost"]
    most = levels[levels["of today's seconds"] == 8].iloc[0]
    assert (most["width"], most["pixels"]) == look
    assert float(most["τ"].split(" ")[0]) > 0.8
    assert len(kept) == 40 * len(scores)
    assert kept["truth"].notna().all()
    table = finding.tables["candidates"]
    assert len(table) == sum(len(scores[study.part(k, 5)].settings) for k in study.LOOKS) * 9
