"""Kernels in tiles by the command line: computed, looked at, fitted."""

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from nasproxy import cli
from nasproxy.data import load
from nasproxy.errors import DataError, NasproxyError, SettingError
from nasproxy.kernel_fit import fit_tiles
from nasproxy.kernels import FullyConnected
from nasproxy.named import kernel_of
from nasproxy.solvers import ConjugateGradient, KernelRidge, KernelRidgeClassifier
from nasproxy.tiles import Tiles
from tests.support.cli import run
from tests.support.kernels import Gauss

SUBSETS = ["--n-train", "300", "--n-valid", "100"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kernel") / "tiles"
    words = ["--kind", "nngp", "--tiles", str(path), *SUBSETS, "--side", "64", "--quiet"]
    said = run("kernel", "compute", "fc:depth=2", *words)
    assert "28 of 28 tiles" in said
    assert "28 of 28 tiles" in run("kernel", "compute", "fc:depth=2", *words)
    return path


def test_what_is_there_is_said(folder: Path) -> None:
    said = run("kernel", "status", str(folder))
    assert "FullyConnected:depth=2,kind=nngp" in said
    assert "300 training and 100 validation points, with targets, tiles of 64²" in said
    assert "28 tiles are whole, 0 damaged" in run("kernel", "verify", str(folder))


def test_damage_is_listed_and_made_again(tmp_path: Path) -> None:
    words = ["--tiles", str(tmp_path), *SUBSETS, "--side", "128", "--quiet"]
    run("kernel", "compute", "fc", *words)
    path = tmp_path / "00000" / "00001.npy"
    path.write_bytes(path.read_bytes()[:-1])
    for option in ([], ["--remove"]):
        result = CliRunner().invoke(cli.app, ["kernel", "verify", str(tmp_path), *option])
        assert result.exit_code == 1
        assert str(path) in result.output
        assert "9 tiles are whole, 1 damaged" in result.output
    with pytest.raises(SettingError, match="9 of 10 tiles"):
        run("fit", "--tiles", str(tmp_path), "--solver", "cg")
    run("kernel", "compute", "fc", *words)
    assert "10 tiles are whole, 0 damaged" in run("kernel", "verify", str(tmp_path))


@pytest.mark.parametrize(
    "solver",
    ["cg", "ridge", "nystrom", "subset_of_regressors", "block_diagonal", "committee", "eigenpro"],
)
def test_a_fit_of_tiles_is_that_of_the_images(solver: str, folder: Path, tmp_path: Path) -> None:
    words = ["--solver", solver, "--ridge", "0.01,0.1", "--rank", "400", "--quiet"]
    if solver == "eigenpro":
        words += ["--tolerance", "1e-4"]
        words[5] = "100"
    if solver == "cg":
        words += ["--tolerance", "1e-6", "--checkpoint", str(tmp_path / "cg.npz")]
    said = run("fit", "--tiles", str(folder), *words)
    data = load("digits")
    (x, y), (xv, yv) = data.subset("train", 300, 0), data.subset("valid", 100, 0)
    for ridge in (0.01, 0.1):
        model = KernelRidgeClassifier(FullyConnected(2, "nngp"), ridge=ridge).fit(x, y)
        targets = np.eye(10)[yv] - 0.1
        error = np.square(model.decision_function(xv) - targets).mean()
        (row,) = (line for line in said.splitlines() if re.match(rf"\W*{ridge:g} ", line))
        accuracy, found = (float(cell) for cell in re.split(r"[│┃]", row)[2:4])
        assert accuracy == pytest.approx(model.score(xv, yv), abs=0.011)
        assert found == pytest.approx(error, rel=2e-3)


def test_validation_may_end_it(folder: Path) -> None:
    words = ["--tolerance", "1e-9", "--stop", "validation", "--patience", "2", "--rank", "10"]
    said = run(
        "fit", "--tiles", str(folder), "--solver", "cg", "--ridge", "1e-4", *words, "--quiet"
    )
    assert "validation" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--solver", "eigenpro", "--rank", "300"], "top=300"),
        (["--solver", "best"], "choose eigenpro, cg"),
        (["--solver", "cg", "--stop", "early"], "residual or validation"),
        (["--solver", "cg", "--ridge", "small"], "--ridge small"),
        (["--solver", "cg", "--ridge", "1e-3,0"], "ridges="),
        (["--solver", "ridge", "--checkpoint", "a"], "are for solver cg"),
        (["--solver", "cg", "--rank", "-1"], "rank=-1"),
        (["--solver", "cg", "--memory", "0"], "memory=0"),
    ],
)
def test_options_that_do_not_go_together(words: list[str], said: str, folder: Path) -> None:
    with pytest.raises(NasproxyError, match=said):
        run("fit", "--tiles", str(folder), *words)


def test_several_ridges_are_for_tiles() -> None:
    with pytest.raises(SettingError, match="several are for --tiles"):
        run("fit", "--solver", "ridge", "--ridge", "1e-3,1e-2")


def test_targets_that_are_no_classes(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 150, 4))
    tiles = Tiles.create(tmp_path, Gauss(), x, x[:20], y=y, y_valid=y[:20], side=64).compute()
    (report,) = fit_tiles(tiles, ConjugateGradient(tiles, tolerance=1e-9), [0.1], progress=False)
    direct = KernelRidge(Gauss(), ridge=0.1).fit(x, y)
    assert report.valid_accuracy is None
    assert report.valid_error == pytest.approx(np.square(direct.predict(x[:20]) - y[:20]).mean())
    bare = Tiles.create(tmp_path / "bare", Gauss(), x, side=64).compute()
    with pytest.raises(SettingError, match="no targets"):
        fit_tiles(bare, ConjugateGradient(bare), [0.1])


def test_kernels_by_name() -> None:
    assert kernel_of("fc:depth=5,activation=erf", "nngp") == FullyConnected(5, "nngp", "erf")
    assert kernel_of("fullyconnected") == FullyConnected()
    assert kernel_of("tests.support.kernels.Gauss:width=2") == Gauss(width=2)
    for text, kind, said in (
        ("fcc", None, "choose fc3, cv8"),
        ("fc:width=3", None, "no setting 'width'"),
        ("fc:kind=ntk", "nngp", "has a kind already"),
        ("numpy.exp", None, "choose fc3"),
        ("tests.support.kernels.Gauss", "ntk", "no setting 'kind'"),
    ):
        with pytest.raises(SettingError, match=said):
            kernel_of(text, kind)


def test_validation_images_with_each_other(tmp_path: Path) -> None:
    """Where they are no more than training images, or as asked; what was begun stays as it was."""
    few, many = ["--n-train", "64", "--n-valid", "64"], ["--n-train", "64", "--n-valid", "65"]
    for name, words, joint in (
        ("few", few, True),
        ("many", many, False),
        ("none", [*few, "--no-joint"], False),
        ("all", [*many, "--joint"], True),
    ):
        path = tmp_path / name
        common = ["kernel", "compute", "fc", "--tiles", str(path), "--side", "64", "--quiet"]
        run(*common, *words)
        assert Tiles(path).manifest.joint == joint
        run(*common, *[word for word in words if "joint" not in word])
    with pytest.raises(SettingError, match=r"give that \(--no-joint\)"):
        run(*common[:4], str(tmp_path / "none"), "--quiet", *few, "--joint")
    with pytest.raises(DataError, match=r"\(--joint\)"):
        run("fit", "--tiles", str(tmp_path / "none"), "--solver", "committee", "--rank", "8")


def test_predictions_that_blow_up_are_said_to(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nyström's approximation divides what few columns leave by the ridge."""
    words = ["fit", "--tiles", str(folder), "--solver", "nystrom", "--rank", "10", "--quiet"]
    run(*words, "--ridge", "1e-7,10")
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith("ridge 1e-07: predictions err ")
    assert "larger ridge" in warning
