"""Drawings of every space: what is in the architecture is in the picture."""

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from nasproxy.drawing import Drawing
from nasproxy.errors import ArchitectureError
from nasproxy.plugins import SPACES
from nasproxy.space import Drawable, draw
from search_spaces import (
    MNAS,
    AccelNASBench,
    ConvolutionalNetworks,
    FullyConnectedNetworks,
    NASBench101,
    NASBench201,
    NASBench301,
    NASBenchMacro,
)
from tests.support.cli import run

OURS = (
    MNAS,
    AccelNASBench,
    ConvolutionalNetworks,
    FullyConnectedNetworks,
    NASBench101,
    NASBench201,
    NASBench301,
    NASBenchMacro,
)
NS = "{http://www.w3.org/2000/svg}"


def labels(drawing: Drawing) -> list[str]:
    root = ElementTree.fromstring(drawing.svg)
    return [element.text or "" for element in root.iter(f"{NS}text")]


def edges(drawing: Drawing) -> int:
    return len(list(ElementTree.fromstring(drawing.svg).iter(f"{NS}path")))


@pytest.mark.parametrize("name", sorted(SPACES))
def test_every_space_draws_its_architectures_the_same_way_each_time(name: str) -> None:
    space = SPACES[name]()
    for architecture in space.sample(10, 0):
        drawing = draw(space, architecture)
        ElementTree.fromstring(drawing.svg)
        assert drawing == draw(space, space.find(space.key(architecture)))
        assert 0 < drawing.width < 1000
        assert 0 < drawing.height < 1000


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.name)
def test_ours_say_how_they_are_drawn(kind: Any) -> None:
    assert isinstance(kind(), Drawable)


def test_a_cell_has_a_box_a_vertex_and_its_edges() -> None:
    named = {"conv3x3-bn-relu": "3×3 conv", "conv1x1-bn-relu": "1×1 conv"}
    named |= {"maxpool3x3": "3×3 max pool"}
    for cell in NASBench101().sample(25, 3):
        drawing = NASBench101().draw(cell)
        assert labels(drawing) == [named.get(op, op) for op in cell.ops]
        assert edges(drawing) == cell.num_edges
        assert cell.key in drawing.svg
        assert cell._repr_svg_() == drawing.svg


def test_a_201_cell_has_its_operations_and_what_is_dead_is_faint() -> None:
    space = NASBench201()
    cell = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|"
    drawing = space.draw(cell)
    assert sorted(labels(drawing)) == sorted(
        ["input", "output", "+", "+", "3×3 conv", "3×3 avg pool", "1×1 conv"]
    )
    assert edges(drawing) == 2 * 3 + 1  # a skip is an edge without a box
    root = ElementTree.fromstring(drawing.svg)
    faint = [t.text for g in root.iter(f"{NS}g") if g.get("opacity") for t in g.iter(f"{NS}text")]
    assert sorted(faint, key=str) == ["+", "1×1 conv"]  # node 2, which nothing leads to
    for key in space.sample(25, 0):
        ops = [
            part.partition("~")[0] for node in key.split("+") for part in node.strip("|").split("|")
        ]
        boxes = len(labels(space.draw(key))) - 4
        assert boxes == sum(op not in ("none", "skip_connect") for op in ops)


def test_two_darts_cells_have_their_operations() -> None:
    """Inputs, output and four sums of each cell, an edge into and out of every box."""
    space = NASBench301()
    named = ("3×3 max pool", "3×3 avg pool", "", "3×3 sep conv", "5×5 sep conv")
    named += ("3×3 dil conv", "5×5 dil conv")
    for key in space.sample(10, 0):
        ops = [int(op) for op in re.findall(r", (\d)\)", key)]
        drawing = space.draw(key)
        boxes = sorted(named[op] for op in ops if named[op])
        assert sorted(one for one in labels(drawing) if one in named) == boxes
        assert labels(drawing).count("+") == 8
        assert edges(drawing) == 2 * 4 + 16 + len(boxes)
        assert drawing.title.endswith(key)


def test_a_macro_network_has_a_row_a_stage() -> None:
    found = labels(NASBenchMacro().draw("01201201"))
    assert [one for one in found if "channels" in one] == [f"{2**i} channels" for i in (6, 7, 8)]
    assert found.count("halves") == 3
    names = [one for one in found if one not in ("halves",) and "channels" not in one]
    wanted = {"0": "identity", "1": "MBConv3 3×3", "2": "MBConv6 5×5"}
    assert names == ["1×1 conv", *(wanted[digit] for digit in "1201201")]


@pytest.mark.parametrize("space", [MNAS(), AccelNASBench()], ids=lambda space: space.name)
def test_a_mobile_network_has_a_box_a_layer(space: Any) -> None:
    for blocks in space.sample(10, 0):
        found = labels(space.draw(blocks))
        names = [one for one in found if one.endswith(("3×3", "5×5"))]
        assert [name.split()[-1] for name in names] == [
            f"{block.kernel}×{block.kernel}" for block in blocks for _ in range(block.layers)
        ]
        graph = space.graph(blocks, (32, 32, 3), 10)
        channels = [one.split()[0] for one in found if one.endswith("channels")]
        ends = [graph.shapes[i + 1][-1] for i, s in enumerate(graph.steps) if _ends(graph, i, s)]
        assert list(map(int, channels)) == ends


def _ends(graph: Any, index: int, step: Any) -> bool:
    """Whether a step is the last of a block."""
    block = step.name.partition(".")[0]
    following = graph.steps[index + 1].name if index + 1 < len(graph.steps) else ""
    return block.startswith("block") and following.partition(".")[0] != block


def test_a_perceptron_has_a_bar_a_layer() -> None:
    space = FullyConnectedNetworks(width=64)
    drawing = space.draw(space.find("erf-7"))
    assert drawing.svg.count("<rect") == 1 + 7
    assert labels(drawing) == ["7 hidden layers of 64, erf"]
    assert "of" not in labels_of(space.find("relu-3")._repr_svg_())[0]
    assert labels_of(space.find("relu-1x9")._repr_svg_()) == ["1 hidden layer of 9, relu"]


def labels_of(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{NS}text")]


def test_a_space_that_says_nothing_shows_its_key() -> None:
    class Plain:
        def key(self, architecture: int) -> str:
            return f"<b>{architecture}</b>"

    plain: Any = Plain()
    assert labels(draw(plain, 7)) == ["<b>7</b>"]


def test_the_command_writes_a_file_or_the_output(tmp_path: Any) -> None:
    path = tmp_path / "a.svg"
    assert run("show", "nasbench_macro:width=16", "01201201", "--out", str(path)) == ""
    drawn = NASBenchMacro(width=16).draw("01201201").svg
    assert path.read_text(encoding="utf-8") == drawn
    assert run("show", "nasbench_macro:width=16", '{"arch": "01201201"}').strip() == drawn
    with pytest.raises(ArchitectureError, match="7"):
        run("show", "nasbench_macro", "7")
