"""Layouts of graphs: layers are longest paths, boxes stand apart, and no edge runs through one."""

import re
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasproxy.drawing import Vertex, dag
from nasproxy.drawing.layered import BESIDE, arrange
from nasproxy.errors import SettingError

Edges = list[tuple[int, int]]


@st.composite
def graphs(draw: Any) -> tuple[int, Edges]:
    """Acyclic graphs of up to nine vertices, connected or not."""
    n = draw(st.integers(1, 9))
    every = list(combinations(range(n), 2))
    return n, draw(st.lists(st.sampled_from(every), unique=True)) if every else []


def longest(n: int, edges: Edges) -> list[int]:
    """Lengths of the longest paths to each vertex, by powers of the adjacency matrix."""
    matrix = np.zeros((n, n), int)
    for u, v in edges:
        matrix[u, v] = 1
    depth, power = np.zeros(n, int), np.eye(n, dtype=int)
    for length in range(1, n):
        power = (power @ matrix > 0).astype(int)
        depth[power.any(axis=0)] = length
    return depth.tolist()


@settings(deadline=None, max_examples=60)
@given(graphs())
def test_each_vertex_is_below_all_that_lead_to_it_and_apart_from_its_neighbours(
    graph: tuple[int, Edges],
) -> None:
    n, edges = graph
    sizes = [(40.0 + 9 * i, 20.0 + i) for i in range(n)]
    layout = arrange(sizes, edges)
    assert layout.layers == longest(n, edges)
    assert layout == arrange(sizes, edges)
    for (w, h), centre in zip(sizes, layout.centres, strict=True):
        assert centre.x - w / 2 >= -1e-6
        assert centre.x + w / 2 <= layout.width + 1e-6
        assert centre.y - h / 2 >= 0
        assert centre.y + h / 2 <= layout.height
    for u, v in combinations(range(n), 2):
        if layout.layers[u] == layout.layers[v]:
            apart = abs(layout.centres[u].x - layout.centres[v].x)
            assert apart >= (sizes[u][0] + sizes[v][0]) / 2 + BESIDE - 1e-6


NUMBER = r"-?\d+(?:\.\d)?"


def curve(path: str) -> np.ndarray:
    """Points along a path of M, V and C, many a segment; (n, 2)."""
    points: list[np.ndarray] = []
    at = np.zeros(2)
    for command, rest in re.findall(r"([MVC])([^MVC]*)", path):
        values = [float(x) for x in re.findall(NUMBER, rest)]
        t = np.linspace(0, 1, 60)[:, None]
        if command == "M":
            at = np.array(values)
            points.append(at[None])
        elif command == "V":
            to = np.array([at[0], values[0]])
            points.append(at + t * (to - at))
            at = to
        else:
            b, c, d = np.array(values).reshape(3, 2)
            points.append(
                (1 - t) ** 3 * at + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d
            )
            at = d
    return np.concatenate(points)


@settings(deadline=None, max_examples=60)
@given(graphs())
def test_no_edge_runs_through_a_box(graph: tuple[int, Edges]) -> None:
    """Read off the drawing itself, along its curves, circles taken for their squares."""
    n, edges = graph
    vertices = [Vertex("+", "sum") if i % 3 == 2 else Vertex("w" * i, "conv3") for i in range(n)]
    body = dag(vertices, edges).body
    attributes = f'x="({NUMBER})" y="({NUMBER})" width="({NUMBER})" height="({NUMBER})"'
    boxes = [tuple(map(float, found)) for found in re.findall(f"<rect {attributes}", body)]
    paths = [curve(found) for found in re.findall('<path d="([^"]+)"', body)]
    assert len(boxes) == n
    assert len(paths) == len(edges)
    for (u, v), path in zip(edges, paths, strict=True):
        for i, (x, y, w, h) in enumerate(boxes):
            within = (path > [x + 0.2, y + 0.2]) & (path < [x + w - 0.2, y + h - 0.2])
            assert not within.all(axis=1).any(), f"edge {u} → {v} runs through box {i}"
        ends = path[0], path[-1]
        for vertex, (px, py), bottom in zip((u, v), ends, (True, False), strict=True):
            x, y, w, h = boxes[vertex]
            assert x <= px <= x + w
            assert py == pytest.approx(y + h if bottom else y, abs=0.2)
        assert all(a <= b + 1e-9 for a, b in pairwise(path[:, 1])), "edges lead downwards"


def test_a_chain_is_straight_and_a_ladder_has_no_crossing() -> None:
    chain = arrange([(40.0, 20.0)] * 5, [(i, i + 1) for i in range(4)])
    assert {round(centre.x, 6) for centre in chain.centres} == {20.0}
    ladder = arrange([(40.0, 20.0)] * 6, [(0, 3), (1, 2), (2, 4), (3, 5)])
    left = [ladder.centres[v].x for v in (0, 3, 5)]
    right = [ladder.centres[v].x for v in (1, 2, 4)]
    assert max(left) < min(right) or max(right) < min(left)


@pytest.mark.parametrize(
    ("n", "edges", "message"),
    [
        (0, [], "one or more"),
        (2, [(0, 2)], r"\(0, 2\)"),
        (2, [(0, 1), (0, 1)], "twice"),
        (3, [(0, 1), (1, 2), (2, 1)], "circle"),
        (1, [(0, 0)], "circle"),
    ],
)
def test_what_is_no_acyclic_graph_is_refused(n: int, edges: Edges, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        arrange([(10.0, 10.0)] * n, edges)
