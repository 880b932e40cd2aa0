"""Drawings: well-formed, escaped, the same every time, and showing what they are of."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasproxy.drawing import Block, Drawing, Row, Vertex, bars, dag, rows, sheet, text
from nasproxy.errors import SettingError

NS = "{http://www.w3.org/2000/svg}"
AWKWARD = '<script>alert("&")</script>\x00\x1b[31m\ud800'


def texts(drawing: Drawing) -> list[str]:
    """All labels, in order."""
    root = ElementTree.fromstring(drawing.svg)
    return [element.text or "" for element in root.iter(f"{NS}text")]


def count(drawing: Drawing, tag: str) -> int:
    return len(list(ElementTree.fromstring(drawing.svg).iter(NS + tag)))


EVERY: dict[str, Callable[[str], Drawing]] = {
    "dag": lambda said: dag([Vertex(said), Vertex(said, "end")], [(0, 1)], said),
    "rows": lambda said: rows([Row(said, [Block(said, said)])], said),
    "bars": lambda said: bars([3, 5], said, title=said),
    "text": lambda said: text(said, said),
    "sheet": lambda said: sheet([text(said)], [said], title=said),
}


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_labels_are_text_and_nothing_else(make: Callable[[str], Drawing]) -> None:
    drawing = make(AWKWARD)
    root = ElementTree.fromstring(drawing.svg.encode())
    drawn = {element.tag.removeprefix(NS) for element in root.iter()}
    assert drawn <= {"svg", "title", "rect", "text", "path", "polygon", "g"}
    names = {name for element in root.iter() for name in element.attrib}
    assert not {n for n in names if n.startswith("on") or "href" in n or n in ("id", "style")}
    assert "alert" in "".join(texts(drawing))
    assert make(AWKWARD) == drawing


@given(st.text(max_size=100))
def test_any_text_is_well_formed(said: str) -> None:
    root = ElementTree.fromstring(text(said).svg.encode())
    assert root.get("width") == str(root.get("viewBox")).split()[2]


def test_a_long_text_is_cut_and_says_so() -> None:
    drawing = text("x" * 10_000)
    said = "".join(texts(drawing))
    assert said == "x" * 2_000 + "…"
    assert max(map(len, texts(drawing))) <= 33


def test_rows_have_a_box_a_block_and_an_arrow_between_two() -> None:
    stages = [
        Row("one", [Block("a"), Block("b", "note", skip="identity")]),
        Row("two", [Block("c", skip="pool")]),
    ]
    drawing = rows(stages)
    assert texts(drawing) == ["one", "a", "b", "note", "two", "c"]
    assert count(drawing, "rect") == 1 + 3  # the background
    assert count(drawing, "polygon") == 2  # heads of arrows: a → b, b → c
    dashed = [
        p
        for p in ElementTree.fromstring(drawing.svg).iter(f"{NS}path")
        if p.get("stroke-dasharray")
    ]
    assert len(dashed) == 1


def test_bars_are_one_a_layer_or_the_ends_of_many() -> None:
    assert count(bars([8] * 48, "w"), "rect") == 1 + 48
    deep = bars([8] * 10_000, "w")
    assert count(deep, "rect") == 1 + 48
    assert "…" in texts(deep)
    root = ElementTree.fromstring(bars([1, 2, 1024], "w").svg)
    heights = [float(r.get("height", 0)) for r in root.iter(f"{NS}rect")][1:]
    assert heights[0] < heights[1] < heights[2]


def test_what_does_not_matter_is_faint() -> None:
    both = dag([Vertex("a"), Vertex("b", live=False)], [(0, 1)])
    root = ElementTree.fromstring(both.svg)
    faint = [g for g in root.iter(f"{NS}g") if g.get("opacity")]
    assert [t.text for g in faint for t in g.iter(f"{NS}text")] == ["b"]
    assert sum(len(list(g.iter(f"{NS}path"))) for g in faint) == 1


def test_a_sheet_holds_its_drawings_side_by_side() -> None:
    found = sheet([text("one"), text("two"), text("three")], ["1\nx", "2", "3"], columns=2)
    assert set(texts(found)) == {"one", "two", "three", "1", "x", "2", "3"}
    alone = sheet([text("one")])
    assert found.width > alone.width
    assert found.height > 2 * text("one").height


def test_notebooks_show_it_and_files_hold_it(tmp_path: Path) -> None:
    drawing = text("hello")
    path = tmp_path / "a.svg"
    drawing.save(path)
    assert path.read_text(encoding="utf-8") == drawing.svg == drawing._repr_svg_()


WRONG: dict[str, tuple[Callable[[Path], Any], str]] = {
    "kind": (lambda _: dag([Vertex("a", "none such")], []), "'none such'"),
    "no vertex": (lambda _: dag([], []), "one or more"),
    "no row": (lambda _: rows([]), "one stage"),
    "an empty row": (lambda _: rows([Row("a", [])]), "one stage"),
    "skip": (lambda _: rows([Row("a", [Block("b", skip="jump")])]), "'jump'"),
    "no bar": (lambda _: bars([], "a"), "one layer"),
    "a bar of nothing": (lambda _: bars([3, 0], "a"), "one unit"),
    "no drawing": (lambda _: sheet([]), "one or more"),
    "captions": (lambda _: sheet([text("a")], ["b", "c"]), "2 captions"),
    "columns": (lambda _: sheet([text("a")], columns=0), "columns=0"),
    "suffix": (lambda folder: text("a").save(folder / "a.png"), ".svg"),
    "folder": (lambda folder: text("a").save(folder / "none" / "a.svg"), "cannot be written"),
}


@pytest.mark.parametrize(("make", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_drawn_says_why(
    tmp_path: Path, make: Callable[[Path], Any], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        make(tmp_path)
    assert not list(tmp_path.iterdir())
