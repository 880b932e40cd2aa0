"""Plug-ins: from a folder outside the repository, and from packages that somebody else installs."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from nasproxy.errors import SettingError
from nasproxy.plugins import DATASETS, PROXIES, SPACES, SUITES, imported, is_dotted

MODULE = '''
"""A space, a proxy, a data loader: what a user keeps in a file of the working folder."""
import json
from dataclasses import dataclass
from typing import ClassVar

import jax
import numpy as np

from nasproxy.data import from_arrays
from nasproxy.networks.differentiation import value_and_grad
from nasproxy.networks.graph import Builder
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.layers import ConvBN, Dense, GlobalAverage
from nasproxy.proxies import Score


@dataclass(frozen=True)
class Chains:
    """One to six 3×3 convolutions in a row."""

    width: int = 8
    name: ClassVar[str] = "chains"
    samplers: ClassVar[tuple[str, ...]] = ("uniform",)

    def sample(self, n, seed, sampler=None):
        return [1 + int(d) for d in np.random.default_rng(seed).permutation(6)[:n]]

    def mutate(self, architecture, rng):
        return int(rng.choice([d for d in range(1, 7) if d != architecture]))

    def key(self, architecture):
        return str(architecture)

    def find(self, key):
        return int(key)

    def to_json(self, architecture):
        return json.dumps(architecture)

    def from_json(self, text):
        return json.loads(text)

    def graph(self, architecture, image_shape, classes):
        builder = Builder(image_shape)
        value = builder.add(ConvBN(3, image_shape[2], self.width), builder.image)
        for _ in range(architecture - 1):
            value = builder.add(ConvBN(3, self.width, self.width), value)
        value = builder.add(GlobalAverage(), value)
        builder.add(Dense(self.width, classes), value)
        return builder.graph()


@dataclass(frozen=True)
class GradNorm:
    """Norm of the gradient of all parameters on one batch."""

    batch: int = 32
    width: int | None = None
    name: ClassVar[str] = "my_grad_norm"

    def prepare(self, space, data, seed):
        images, labels = data.subset("train", self.batch, seed)

        def score(architecture):
            graph = space.graph(architecture, data.image_shape, data.classes)
            network = Initialised.draw(graph, (seed, 0))
            grads = value_and_grad(network.padded, network.params, images, labels).grads
            squares = [float((g**2).sum()) for g in jax.tree.leaves(grads)]
            flops = 3.0 * graph.flops * self.batch
            return Score(sum(squares) ** 0.5, flops, info={"batch": self.batch})

        return score


def stripes(seed=0, side=8):
    """Stripes and squares, 200 of them."""
    rng = np.random.default_rng(seed)
    labels = np.arange(200) % 2
    images = rng.normal(size=(200, side, side, 1)) + labels[:, None, None, None]
    return from_arrays(images[:120], labels[:120], images[120:], labels[120:], name="stripes")
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder outside the repository, with a module of the user's."""
    (tmp_path / "mine.py").write_text(MODULE, encoding="utf-8")
    return tmp_path


def run(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """The command line in a process of its own, as the user starts it there."""
    command = [sys.executable, "-m", "nasproxy", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_space_a_proxy_and_data_of_the_working_folder(folder: Path) -> None:
    """Scored, stored, ranked and searched, without a line changed here."""
    done = run(
        folder,
        *("score", "mine.Chains:width=4", "--sample", "4", "--data", "mine.stripes:side=6"),
        *("--proxy", "mine.GradNorm:batch=64", "--proxy", "nngp:n_train=40,n_valid=40"),
        *("--proxy", "params", "--store", "s.db", "--out", "scores.csv", "--quiet"),
    )
    assert done.returncode == 0, done.stderr
    scores = pd.read_csv(folder / "scores.csv").set_index("architecture")
    assert (scores["my_grad_norm"] > 0).all()
    assert len(scores) == 4
    assert scores["nngp"].between(0, 1).all()
    ranked = run(folder, "rank", "--store", "s.db", "--truth", "params", "--format", "json")
    assert ranked.returncode == 0, ranked.stderr
    rows = {row["proxy"].partition(":")[0]: row for row in json.loads(ranked.stdout)}
    assert rows["my_grad_norm"]["n"] == 4
    assert rows["my_grad_norm"]["space"].startswith("chains:width=16")
    assert rows["nngp"]["data"].startswith("stripes:side=6@")
    found = run(
        folder,
        *("search", "mine.Chains", "--proxy", "mine.GradNorm", "--budget", "5"),
        *("--strategy", "random", "--data", "mine.stripes", "--quiet"),
    )
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("score", "mine.Nothing", "--sample", "1", "--proxy", "params"), "has no Nothing"),
        (("score", "absent.Space", "--sample", "1", "--proxy", "params"), "no module absent"),
        (("score", "mine.GradNorm", "--sample", "1", "--proxy", "params"), "no search space"),
        (("score", "mine.Chains", "--sample", "1", "--proxy", "mine.Chains"), "is no proxy"),
        (("score", "mine.Chains", "--sample", "1", "--proxy", "mine.stripes"), "is no proxy"),
        (("score", "chain", "--sample", "1", "--proxy", "params"), "choose one of accel_nasbench"),
        (("score", "mine.Chains:depth=2", "--sample", "1", "--proxy", "params"), "it has width"),
        (
            ("score", "mine.Chains", "--sample", "1", "--proxy", "mine.GradNorm:size=1"),
            "it has batch, width",
        ),
        (
            (*("score", "mine.Chains", "--sample", "1", "--proxy", "params"), "--data", "mine.no"),
            "has no no",
        ),
        (
            (
                *("score", "mine.Chains", "--sample", "1", "--proxy", "params"),
                *("--data", "mine.stripes:labels=2"),
            ),
            "it has seed, side",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_does_not_fit_is_one_line(folder: Path, words: tuple[str, ...], said: str) -> None:
    done = run(folder, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_fault_in_the_users_module_is_shown_to_its_author(tmp_path: Path) -> None:
    (tmp_path / "faulty.py").write_text("import numpy\nnumpy.nothing_of_that_name\n")
    done = run(tmp_path, "score", "faulty.Space", "--sample", "1", "--proxy", "params")
    assert done.returncode == 1
    assert "faulty.py" in done.stderr
    assert "nothing_of_that_name" in done.stderr


def test_no_other_class_takes_a_registered_name(folder: Path) -> None:
    """A store files scores by names: the two would be taken for each other."""
    text = MODULE.replace('"my_grad_norm"', '"params"')
    (folder / "mine.py").write_text(text, encoding="utf-8")
    done = run(folder, "score", "mine.Chains", "--sample", "1", "--proxy", "mine.GradNorm")
    assert done.returncode == 2
    assert "give it another name" in done.stderr


def installed(folder: Path, name: str, groups: dict[str, dict[str, str]]) -> None:
    """What pip leaves behind of a package with entry points."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [
        line
        for group, entries in groups.items()
        for line in (f"[nasproxy.{group}]", *(f"{k} = {v}" for k, v in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))


SUITE = '''
"""A suite of one experiment."""
PAPER = "Somebody's paper"
EXPERIMENTS = ()
def prepare(options): ...
'''


def test_packages_register_their_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are listed and used by name; a broken one is said to be broken, the rest is there."""
    (folder / "their_suite.py").write_text(SUITE)
    installed(
        folder,
        "theirs",
        {
            "search_spaces": {"chains": "mine:Chains"},
            "proxies": {"my_grad_norm": "mine:GradNorm", "broken": "no_such_module:Proxy"},
            "datasets": {"stripes": "mine:stripes"},
            "suites": {"theirs": "their_suite"},
        },
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    assert "chains: One to six" in run(elsewhere, "spaces").stdout
    listed = run(elsewhere, "proxies")
    assert "my_grad_norm: Norm of the gradient" in listed.stdout
    assert "nngp: How well the NNGP of networks drawn at random predicts" in listed.stdout
    assert "broken: cannot be loaded" in listed.stderr
    assert "stripes: Stripes and squares" in run(elsewhere, "datasets").stdout
    assert "theirs: Somebody's paper" in run(elsewhere, "reproduce", "--list").stdout
    done = run(
        elsewhere,
        *("score", "chains", "--sample", "2", "--data", "stripes", "--quiet"),
        *("--proxy", "my_grad_norm:batch=16"),
    )
    assert done.returncode == 0, done.stderr


def test_a_name_that_two_packages_register_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(folder, "theirs", {"proxies": {"params": "mine:GradNorm"}})
    monkeypatch.setenv("PYTHONPATH", str(folder))
    done = run(folder, "score", "mine.Chains", "--sample", "1", "--proxy", "params")
    assert done.returncode == 2
    assert "registered twice" in done.stderr
    assert "theirs" in done.stderr


def test_ours_are_registered_as_anybodys_are() -> None:
    assert {"nasbench101", "mnas", "fully_connected"} <= set(SPACES)
    assert {"nngp", "params", "training"} <= set(PROXIES)
    assert set(SUITES) >= {"nngp_nas", "fc_ntk", "nngp_mnas"}
    assert "digits" in DATASETS
    for registry in (SPACES, PROXIES):
        assert all(registry.find(name).name == name for name in registry)


def test_dotted_names() -> None:
    assert is_dotted("a.b")
    assert not any(is_dotted(text) for text in ("a", "a.", ".a", "./a.b", "a-b.c", "a.1"))
    assert imported("json.dumps") is json.dumps
    assert imported("xml.etree.ElementTree").__name__ == "xml.etree.ElementTree"
    with pytest.raises(SettingError, match="no module json_of_nobody"):
        imported("json_of_nobody.dumps")
