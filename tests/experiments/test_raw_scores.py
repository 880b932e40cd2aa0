"""Numbers of committed reports, computed again from the raw scores beside them."""

import re
from pathlib import Path

import pandas as pd
import pytest

from nasproxy import metrics
from nasproxy.reproduce import evidence
from nasproxy_experiments.fc_ntk import accuracy, finite_networks, paper_steps
from nasproxy_experiments.nngp_default import equal_rank

RESULTS = Path(__file__).parents[2] / "results"


def test_widths_at_equal_rank() -> None:
    folder = RESULTS / "nngp_default/equal_rank"
    raw = pd.read_parquet(folder / "scores.parquet")
    printed = pd.read_csv(folder / "widths.csv")
    for row in printed[printed["score"] == "leave-one-out accuracy"].to_dict("records"):
        own = raw[(raw["width"] == row["width"]) & (raw["M"] == row["M"])]
        taus = [metrics.kendall_tau(o["loo_accuracy"], o["truth"]) for _, o in own.groupby("seed")]
        assert sum(taus) / len(taus) == pytest.approx(row["τ"], abs=1e-5)
    gain = equal_rank.compared(raw).set_index(["score", "width", "M"])["gain"]
    assert gain["leave-one-out accuracy", 64, 2] == pytest.approx(-0.0953, abs=1e-4)


@pytest.mark.parametrize(
    ("space", "setting", "truths"),
    [
        ("accel_nasbench", "(1000, 5000, 4)", ["accuracy", "reward"]),
        ("nasbench201", "(1000, 500, 4)", ["accuracy"]),
        ("nasbench_macro", "(1000, 500, 4)", ["accuracy"]),
    ],
)
def test_spaces_by_seeds(space: str, setting: str, truths: list[str]) -> None:
    folder = RESULTS / f"nngp_mnas/{space}_by_seeds"
    raw = pd.read_parquet(folder / "scores.parquet")
    printed = pd.read_csv(folder / "ranking.csv").set_index(["predicts", "score"])["τ"]
    score = f"NNGP validation accuracy {setting}"
    columns = [name for name in raw if str(name).startswith(f"{score}, seed ")]
    assert len(columns) == 3
    for truth in truths:
        known = raw.dropna(subset=truth)
        taus = [metrics.kendall_tau(known[name], known[truth]) for name in columns]
        assert sum(taus) / 3 == pytest.approx(printed[truth, score], abs=1e-5)
        size = metrics.kendall_tau(known["parameters"], known[truth])
        assert size == pytest.approx(printed[truth, "parameters"], abs=1e-5)


def test_networks_by_the_papers_steps() -> None:
    folder = RESULTS / "fc_ntk/paper_steps"
    again = paper_steps.by_depth(pd.read_parquet(folder / "scores.parquet"))
    pd.testing.assert_frame_equal(
        again, pd.read_csv(folder / "networks.csv"), check_dtype=False, rtol=1e-5
    )


def test_finite_networks_and_kernels() -> None:
    folder = RESULTS / "fc_ntk/finite_networks"
    raw = pd.read_parquet(folder / "scores.parquet")
    for again, name in (
        (finite_networks.by_depth(raw), "networks"),
        (finite_networks.ranked(raw), "rankings"),
    ):
        printed = pd.read_csv(folder / f"{name}.csv", keep_default_na=False, na_values=["nan"])
        pd.testing.assert_frame_equal(again, printed, check_dtype=False, rtol=1e-5)


def test_the_most_accurate_kernels() -> None:
    folder = RESULTS / "fc_ntk/accuracy"
    again = accuracy.best(pd.read_parquet(folder / "scores.parquet"))
    printed = pd.read_csv(folder / "accuracy.csv")
    pd.testing.assert_frame_equal(again, printed, check_dtype=False, rtol=1e-5)


@pytest.mark.parametrize("space", ["accel_nasbench", "nasbench_macro", "nasbench201"])
def test_members_and_two_seeds(space: str) -> None:
    folder = RESULTS / "nngp_mnas/what_limits"
    members, *seeds, more = (
        pd.read_parquet(folder / f"scores_{space}_{need}.parquet")
        for need in ("members", "nngp", "again", "more")
    )
    most = 16 if space == "accel_nasbench" else 32
    where = {"space": space, "measure": "validation accuracy", "members": most}
    printed = evidence.row(RESULTS, "nngp_mnas/what_limits/members.csv", where)
    known = members[["nngp", "truth"]].dropna()
    assert len(known) == printed["cells"]
    assert metrics.kendall_tau(known["nngp"], known["truth"]) == pytest.approx(
        printed["τ"], abs=1e-4
    )
    about: evidence.Where = {
        "space": space,
        "measure": "validation accuracy",
        "between": "two seeds",
    }
    printed = evidence.row(RESULTS, "nngp_mnas/what_limits/agreement.csv", about)
    shared = pd.concat([one["nngp"] for one in (*seeds, more)], axis=1, join="inner").dropna()
    first, again, _ = shared.to_numpy().T
    assert metrics.kendall_tau(first, again) == pytest.approx(printed["value"], abs=1e-4)


def test_the_ten_largest_networks() -> None:
    folder = RESULTS / "nngp_mnas/top_networks"
    raw = pd.read_parquet(folder / "scores_accel_nasbench_nngp.parquet")
    chosen = raw["params"].to_numpy().argsort()[::-1][:10]
    where: evidence.Where = {"among": f"all {len(raw)}", "chosen by": "parameters"}
    printed = evidence.row(RESULTS, "nngp_mnas/top_networks/top.csv", where)
    assert raw["truth"].iloc[chosen].max() == pytest.approx(printed["best"], abs=1e-4)


def test_cells_of_a_ranking_on_5000() -> None:
    """Cells without a score at some setting are left out, and the report counts the rest."""
    folder = RESULTS / "nngp_nas/network_size"
    raw = pd.read_parquet(folder / "scores_many.parquet")
    own = raw.dropna(subset=[name for name in raw if str(name).startswith("nngp")])
    printed = pd.read_csv(folder / "size.csv").set_index("score").loc["12 epochs"]
    assert len(own) == printed["cells"] < len(raw)
    assert metrics.kendall_tau(own["12 epochs"], own["truth"]) == pytest.approx(
        printed["τ"], abs=1e-5
    )


@pytest.mark.parametrize(
    ("file", "score", "table", "row"),
    [
        ("ntk_against_nngp/scores_ntk", "ntk", "scores", {"score": "NTK: validation accuracy"}),
        (
            "reduced_width/scores_wide",
            "nngp",
            "widths",
            {"network": "width 128, seed 0", "score": "validation accuracy"},
        ),
        (
            "batch_norm_momentum/scores_momentum_0",
            "nngp[loo_accuracy]",
            "momentum",
            {"momentum": 0, "score": "leave-one-out accuracy"},
        ),
        (
            "one_at_a_time/scores_other_seed",
            "nngp",
            "changes",
            {"changed": "other seed", "score": "validation accuracy"},
        ),
        (
            "kendall_vs_cost/scores_members",
            "nngp",
            "settings",
            {"of": "members", "score": "NNGP validation accuracy", "setting": "(1000, 200, 8)"},
        ),
    ],
)
def test_cells_of_one_need(file: str, score: str, table: str, row: dict[str, object]) -> None:
    raw = pd.read_parquet(RESULTS / f"nngp_nas/{file}.parquet").dropna(subset=[score])
    report = file.partition("/")[0]
    printed = evidence.row(RESULTS, f"nngp_nas/{report}/{table}.csv", row)
    assert len(raw) == printed["cells"]
    assert metrics.kendall_tau(raw[score], raw["truth"]) == pytest.approx(printed["τ"], abs=1e-4)


README = (
    ("number of weight layers", "counts"),
    ("NNGP, leave-one-out accuracy, 200 images, M = 5", "nngp[loo_accuracy]"),
    ("NNGP, validation accuracy, 200 + 100 images, M = 5", "nngp"),
    ("the same, M = 1", "nngp[n_train=200,n_valid=100,ensemble=1]"),
    ("number of 3×3 convolutions", "counts[conv3x3]"),
    ("parameters", "params"),
)


@pytest.mark.parametrize(("words", "column"), README)
def test_the_table_that_the_readme_states(words: str, column: str) -> None:
    raw = pd.read_parquet(RESULTS / "nasbench101_cifar10/scores.parquet")
    known = raw[[column, "test_accuracy_108"]].dropna()
    tau = metrics.kendall_tau(known[column], known["test_accuracy_108"])
    for page in ("README.md", "docs/reproduce.md"):
        text = (RESULTS.parent / page).read_text(encoding="utf-8")
        stated = re.search(rf"^\| {re.escape(words)} \| (\.\d+) ", text, re.MULTILINE)
        assert stated, page
        assert float(stated[1]) == pytest.approx(tau, abs=6e-4), page
