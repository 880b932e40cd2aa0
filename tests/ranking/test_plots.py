"""Pictures: whole files or none, and axes that show what they say."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from nasproxy.errors import SettingError, TruthError
from nasproxy.metrics import kendall_tau
from nasproxy.ranking import plots
from nasproxy.ranking.plots import scatter

KEYS = [f"k{i}" for i in range(40)]
RNG = np.random.default_rng(0)
TRUTH = pd.Series(RNG.normal(0.9, 0.01, 40), KEYS)
SCORES = pd.DataFrame(
    {
        "nngp": np.round(TRUTH * 50) / 50,
        "params": np.exp(15 + RNG.normal(size=40)),
        "price in $ of $": -RNG.normal(size=40),
    },
    index=KEYS,
)
SIGNATURES = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are written, to look into."""
    figures: list[Figure] = []
    save = plots.save

    def spy(figure: Figure, path: Path) -> None:
        figures.append(figure)
        save(figure, path)

    monkeypatch.setattr(plots, "save", spy)
    return figures


@pytest.mark.parametrize("suffix", SIGNATURES)
def test_the_suffix_decides_the_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    scatter(SCORES, TRUTH, path, title="a $ title", note="drawn: $$ uniform")
    assert path.read_bytes().startswith(SIGNATURES[suffix])
    assert [f.name for f in tmp_path.iterdir()] == [path.name], "no temporary file is left"


def test_a_panel_each_column_with_its_tau(tmp_path: Path, drawn: list[Figure]) -> None:
    scores = SCORES.copy()
    scores.iloc[:5, 0] = np.nan
    labels = {"nngp": "validation accuracy", "params": "parameters"}
    scatter(scores, TRUTH, tmp_path / "a.png", x_label=labels, y_label="test accuracy")
    axes = drawn[0].axes
    assert [a.get_xlabel() for a in axes] == ["validation accuracy", "parameters", "score"]
    assert axes[0].get_ylabel() == "test accuracy"
    for name, panel, n in zip(SCORES, axes, (35, 40, 40), strict=True):
        tau = kendall_tau(scores[name].dropna(), TRUTH[scores[name].notna()])
        assert f"τ = {tau:+.2f} [" in panel.get_title()
        assert f"n = {n}" in panel.get_title()
        offsets: Any = panel.collections[0].get_offsets()
        assert len(offsets) == n
        assert set(offsets[:, 0]) == set(scores[name].dropna()), "dots stay where they are"


def test_scores_over_decades_get_a_logarithmic_axis(tmp_path: Path, drawn: list[Figure]) -> None:
    scatter(SCORES, TRUTH, tmp_path / "a.png")
    assert [a.get_xscale() for a in drawn[0].axes] == ["linear", "log", "linear"]


def test_a_panel_without_enough_or_with_ties_only_says_so(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    scores = pd.DataFrame({"one": [1.0, *[np.nan] * 39], "same": 2.0, "few": np.nan}, index=KEYS)
    scores.loc[KEYS[:4], "few"] = TRUTH[:4]
    scatter(scores, TRUTH, tmp_path / "a.png")
    titles = [a.get_title().splitlines()[-1] for a in drawn[0].axes]
    assert titles == ["n = 1", "τ undefined, n = 40", "τ = +1.00, n = 4"]


def test_outliers_of_truth_are_counted_at_the_foot(tmp_path: Path, drawn: list[Figure]) -> None:
    truth = TRUTH.copy()
    truth.iloc[[3, 8]] = 0.1
    scatter(SCORES, truth, tmp_path / "a.png")
    for axes, name in zip(drawn[0].axes, SCORES, strict=True):
        dots: Any = axes.collections[0].get_offsets()
        (marks,) = (np.asarray(line.get_xdata()) for line in axes.lines)
        assert len(dots) == 38
        assert sorted(marks.tolist()) == sorted(SCORES[name].iloc[[3, 8]])
        assert [text.get_text() for text in axes.texts] == ["▽ 2 lower, to 0.1"]
        assert axes.get_ylim()[0] > 0.8
        assert axes.get_ylim()[1] < 0.95
        assert "n = 40" in axes.get_title()


@pytest.mark.parametrize("count", range(1, 7))
def test_any_number_of_panels_up_to_six(tmp_path: Path, drawn: list[Figure], count: int) -> None:
    scores = pd.DataFrame({f"p{i}": SCORES["nngp"][:5] for i in range(count)})
    scatter(scores, TRUTH, tmp_path / "a.svg")
    assert len(drawn[0].axes) == count


def test_a_series_is_one_panel(tmp_path: Path, drawn: list[Figure]) -> None:
    scatter(SCORES["nngp"], TRUTH, tmp_path / "a.png")
    assert [a.get_title().splitlines()[0] for a in drawn[0].axes] == ["nngp"]
    pixels = matplotlib.image.imread(tmp_path / "a.png")
    assert pixels.shape[0] > 500


@pytest.mark.parametrize(
    ("scores", "name", "message"),
    [
        (SCORES, "a.bmp", "png, .pdf or .svg"),
        (SCORES, "a", "png, .pdf or .svg"),
        (SCORES, "nowhere/a.png", "cannot be written"),
        (SCORES[[]], "a.png", "1 to 6"),
        (pd.concat([SCORES] * 3, axis=1), "a.png", "1 to 6"),
    ],
)
def test_what_cannot_be_drawn_says_why(
    tmp_path: Path, scores: pd.DataFrame, name: str, message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        scatter(scores, TRUTH, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_column_without_truth_raises_and_keeps_the_old_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"an older picture")
    with pytest.raises(TruthError):
        scatter(SCORES, TRUTH.rename(index=lambda key: f"other-{key}"), path)
    assert path.read_bytes() == b"an older picture"


def test_long_names_break_at_commas() -> None:
    name = "nngp:n_train=100,n_valid=200,ensemble=2[test_accuracy]"
    lines = plots.wrapped(name, 20).split("\n")
    assert "".join(lines) == name
    assert lines == ["nngp:n_train=100,", "n_valid=200,", "ensemble=2", "[test_accuracy]"]
    assert plots.wrapped("a\nb", 20) == "a\nb"


def test_pyplot_stays_out() -> None:
    code = "import sys, nasproxy.ranking.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("value", "said"),
    [(50_000, "50k"), (1.4e15, "1.4P"), (2e12, "2T"), (0.5, "0.5"), (-3e6, "-3M"), (1e18, "1e+18")],
)
def test_numbers_of_an_axis_are_short(value: float, said: str) -> None:
    assert plots.short(value) == said
