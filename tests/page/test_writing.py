"""The file itself: its size, its policy, and that names of others are text in it."""

import base64
import gzip
import hashlib
import html
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nasproxy.errors import DependencyError, SettingError
from nasproxy.page import Claim, check_path, write_page
from nasproxy.page.contents import contents
from nasproxy.ranking import rank_store
from nasproxy.space import draw
from nasproxy.store import Store
from search_spaces import NASBenchMacro
from tests.page.support import ATTACK, filled

pytest.importorskip("bokeh", reason="Bokeh is not installed: pip install 'nasproxy[page]'")


class Parsed(HTMLParser):
    """Elements with their attributes, and the texts of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, Any]]] = []
        self.scripts: list[tuple[dict[str, Any], str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script":
            self.scripts.append((self.elements[-1][1], data))

    def handle_endtag(self, tag: str) -> None:
        self.elements.append((f"/{tag}", {}))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "p.html"
    store, truth = filled(60, seeds=2)
    claims = [Claim(ATTACK, "It <i>ranks</i>.", "Undecided.")]
    told = {"command": ATTACK}
    options = {"n_resamples": 5, "against": "params"}
    with store:
        write_page(store, truth, path, title=ATTACK, claims=claims, provenance=told, **options)
    return path.read_text(encoding="utf-8")


def test_the_policy_allows_the_pages_own_scripts_and_nothing_else(page: str) -> None:
    parsed = Parsed(page)
    (policy,) = [a["content"] for tag, a in parsed.elements if "http-equiv" in a]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data: blob:"
    assert "unsafe" not in rules["script-src"]
    run = code(page)
    assert len(run) > 3
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run]
    assert sorted(rules["script-src"].split()) == sorted(f"'sha256-{one}'" for one in hashes)


def code(page: str) -> list[str]:
    """All that runs: the library, which is packed, and the page's own scripts."""
    scripts = Parsed(page).scripts
    packed = [text for attributes, text in scripts if attributes.get("class") == "library"]
    library = [gzip.decompress(base64.b64decode(text)).decode() for text in packed]
    return library + [text for attributes, text in scripts if not attributes]


def test_nothing_is_fetched_and_names_are_text(page: str) -> None:
    parsed = Parsed(page)
    tags = [tag for tag, _ in parsed.elements]
    assert not {"link", "iframe", "object", "embed", "img", "base"} & set(tags)
    for tag, attributes in parsed.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        if tag != "svg":
            assert not {"src", "href", "srcset", "action"} & attributes.keys(), tag
    assert html.escape(ATTACK) in page.replace("&#39;", "&#x27;")
    assert ATTACK not in page


def test_scripts_hold_no_data(page: str) -> None:
    """Two pages run the same code: what differs stands in elements that are not run."""
    store, truth = filled(20)
    with store:
        other = contents(store, truth, n_resamples=5)
    from nasproxy.page.writing import rendered

    assert code(page) == code(rendered(other, "another", (), {}))


def test_the_ranking_is_rank_stores(page: str) -> None:
    store, truth = filled(60, seeds=2)
    with store:
        table = rank_store(store, truth, n_resamples=5, against="params")
    for tau in table["kendall_tau"]:
        assert f"{tau:+.3f}".replace("0.", ".", 1) in page
    assert page.count('<tr class="baseline">') == 1
    assert "Undecided." in page
    assert "2 seeds" in page


def test_columns_are_the_stores_own_numbers() -> None:
    store, truth = filled(40, seeds=2)
    with store:
        found = contents(store, truth, n_resamples=5)
        raw = {
            (r.key.proxy, r.key.seed, r.key.architecture): r.value
            for r in store.records()
            if r.value is not None
        }
    assert found.columns[0].role == "truth"
    assert pd.Series(found.columns[0].values, found.keys).dropna().to_dict() == truth.to_dict()
    by_label = {column.label: column for column in found.columns}
    assert by_label["parameters"].role == "baseline"
    score = by_label["NNGP, accuracy, n_t = 200"]
    swept = next(proxy for proxy, _, _ in raw if proxy.startswith("nngp"))
    for key, value in zip(found.keys, score.values, strict=True):
        assert value == pytest.approx(np.mean([raw[swept, seed, key] for seed in (0, 1)]))
    assert sorted(found.rows) == sorted(column.name for column in found.columns[1:])
    assert len(found.rows) == len(found.table) == len(found.columns) - 1
    drawn = dict(zip(found.keys, found.drawings, strict=True))
    space = NASBenchMacro()
    for key in found.keys:
        if key != ATTACK:
            assert drawn[key] == draw(space, key)
    assert "hacked" in drawn[ATTACK].svg, "what no space draws is text"


def test_three_thousand_architectures_are_less_than_3_mb(tmp_path: Path) -> None:
    store, truth = filled(3000)
    with store:
        write_page(store, truth, tmp_path / "p.html", n_resamples=1)
    assert (tmp_path / "p.html").stat().st_size < 3e6


def test_of_too_many_architectures_some_are_shown_and_the_page_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("nasproxy.page.contents.MOST", 25)
    store, truth = filled(60)
    with store:
        write_page(store, truth, tmp_path / "p.html", n_resamples=1)
        found = contents(store, truth, n_resamples=1)
    assert len(found.keys) == len(found.drawings) == 25
    assert found.table["n"].max() == 59
    assert "25 of 60 architectures are on this page" in (tmp_path / "p.html").read_text()


@pytest.mark.parametrize(("name", "message"), [("p.htm", ".html"), ("no/p.html", "cannot be")])
def test_a_path_that_cannot_be_is_refused_before_anything_is_read(
    tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(SettingError, match=message), Store(None) as store:
        write_page(store, pd.Series({"a": 1.0}), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_without_bokeh_it_is_said_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "bokeh.document", None)
    with pytest.raises(DependencyError, match=re.escape("nasproxy[page]")):
        check_path(tmp_path / "p.html")


def test_facts_are_json(page: str) -> None:
    (facts,) = [
        text for attributes, text in Parsed(page).scripts if attributes.get("id") == "facts"
    ]
    found = json.loads(facts)
    assert found["columns"][0]["role"] == "truth"
    assert found["columns"][found["first"]["c"]]["role"] == "baseline"
