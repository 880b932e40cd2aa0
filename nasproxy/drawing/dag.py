"""A small acyclic graph: boxes in layers, edges that bend between the layers."""

from collections.abc import Sequence
from typing import NamedTuple

from nasproxy.drawing import svg
from nasproxy.drawing.layered import Layout, arrange
from nasproxy.drawing.style import FADED, paint
from nasproxy.drawing.svg import Drawing, number

_BOX_HEIGHT = 24.0
_CIRCLE = 20.0
_MARGIN = 10.0
_PORT = 13.0


class Vertex(NamedTuple):
    """A box with a label, or a circle of the kind ``sum``.

    Attributes:
        label: short.
        kind: of ``nasproxy.drawing.KINDS``.
        live: whether it matters; drawn faint where it does not.
    """

    label: str
    kind: str = "other"
    live: bool = True


def dag(vertices: Sequence[Vertex], edges: Sequence[tuple[int, int]], title: str = "") -> Drawing:
    """Vertices in layers from the top, each below all that lead to it; the same one every time.

    Args:
        vertices: one or more.
        edges: (from, to), by position in ``vertices``; without circles, no two alike.
        title: what a reader who does not see it is told.

    Raises:
        SettingError: an unknown kind; or see :func:`nasproxy.drawing.layered.arrange`.
    """
    paints = [paint(vertex.kind) for vertex in vertices]
    sizes = [_size(vertex) for vertex in vertices]
    layout = arrange(sizes, edges)
    parts = []
    ports = _ports(layout, sizes, edges)
    for edge, way, (start, end) in zip(edges, layout.ways, ports, strict=True):
        drawn = _edge(layout, sizes, edge, way, start, end)
        parts.append(_faded(drawn, all(vertices[v].live for v in edge)))
    for vertex, colours, (width, height), centre in zip(
        vertices, paints, sizes, layout.centres, strict=True
    ):
        corner = centre.x - width / 2, centre.y - height / 2
        round = height / 2 if vertex.kind == "sum" else 4
        drawn = svg.box(*corner, width, height, colours, round)
        parts.append(_faded(drawn + svg.label(*centre, vertex.label), vertex.live))
    body = f'<g transform="translate({number(_MARGIN)} {number(_MARGIN)})">{"".join(parts)}</g>'
    return Drawing(layout.width + 2 * _MARGIN, layout.height + 2 * _MARGIN, body, title)


def _faded(drawn: str, live: bool) -> str:
    return drawn if live else f'<g opacity="{FADED}">{drawn}</g>'


def _size(vertex: Vertex) -> tuple[float, float]:
    if vertex.kind == "sum":
        return max(_CIRCLE, svg.measured(vertex.label) + 10), _CIRCLE
    return max(34.0, svg.measured(vertex.label) + 14), _BOX_HEIGHT


def _ports(
    layout: Layout, sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]]
) -> list[tuple[float, float]]:
    """x at which each edge leaves its first box and enters its last: beside each other."""
    towards = [
        (
            way[0] if way else layout.centres[target].x,
            way[-1] if way else layout.centres[source].x,
        )
        for (source, target), way in zip(edges, layout.ways, strict=True)
    ]
    found = [[0.0, 0.0] for _ in edges]
    for end in (0, 1):
        for vertex, (width, _) in enumerate(sizes):
            own = [i for i, edge in enumerate(edges) if edge[end] == vertex]
            own.sort(key=lambda i: (towards[i][end], i))
            step = min(_PORT, 0.7 * width / max(1, len(own)))
            for place, i in enumerate(own):
                shift = (place - (len(own) - 1) / 2) * step
                found[i][end] = layout.centres[vertex].x + shift
    return [(start, end) for start, end in found]


def _edge(
    layout: Layout,
    sizes: Sequence[tuple[float, float]],
    edge: tuple[int, int],
    way: Sequence[float],
    start: float,
    end: float,
) -> str:
    """From box to box: straight within a layer, bent between two."""
    source, target = edge
    top = layout.centres[target].y - sizes[target][1] / 2
    path = [f"M{number(start)} {number(layout.centres[source].y + sizes[source][1] / 2)}"]
    x, layer = start, layout.layers[source]
    for to in (*way, end):
        leaves, enters = layout.bands[layer][1], layout.bands[layer + 1][0]
        middle = number((leaves + enters) / 2)
        path.append(f"V{number(leaves)}")
        path.append(f"C{number(x)} {middle} {number(to)} {middle} {number(to)} {number(enters)}")
        x, layer = to, layer + 1
    path.append(f"V{number(top)}")
    return svg.line("".join(path)) + svg.head(end, top)
