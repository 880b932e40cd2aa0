"""Where the vertices of a small acyclic graph go, and by which way its edges reach them.

Layers from the longest paths, as Sugiyama, Tagawa and Toda (1981) arrange them: an edge that skips
layers has a place in each of them, beside the boxes there, so that no edge runs through a box.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from nasproxy.errors import SettingError

GAP = 26.0
"""Pixels between layers, where edges bend."""
BESIDE = 14.0
"""Pixels between neighbours of a layer."""
_SWEEPS = 12


class Point(NamedTuple):
    """In pixels; y points downwards."""

    x: float
    y: float


class Layout(NamedTuple):
    """Where everything is.

    Attributes:
        width: pixels.
        height: pixels.
        centres: of the boxes.
        bands: (top, bottom) of every layer.
        layers: of every vertex.
        ways: of every edge, the x that it has in each layer between its ends.
    """

    width: float
    height: float
    centres: list[Point]
    bands: list[tuple[float, float]]
    layers: list[int]
    ways: list[list[float]]


def arrange(sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]]) -> Layout:
    """The same layout for the same graph, always.

    Args:
        sizes: (width, height) of each of n boxes, pixels; n is 1 or more.
        edges: (from, to), of vertices 0 to n − 1; no two alike.

    Raises:
        SettingError: no vertex, an edge to a vertex that there is not, twice, or in a circle.
    """
    _check(len(sizes), edges)
    layers = _longest_paths(len(sizes), edges)
    # Items: the boxes, then a point for each layer that an edge crosses.
    widths = [width for width, _ in sizes]
    at, links, points = list(layers), list[tuple[int, int]](), list[list[int]]()
    for source, target in edges:
        through = list(range(len(widths), len(widths) + layers[target] - layers[source] - 1))
        widths += [0.0] * len(through)
        at += range(layers[source] + 1, layers[target])
        points.append(through)
        chain = [source, *through, target]
        links += pairwise(chain)
    rows: list[list[int]] = [[] for _ in range(max(layers) + 1)]
    for item, layer in enumerate(at):
        rows[layer].append(item)
    above, below = _neighbours(len(widths), links)
    rows = _uncrossed(rows, above, below)
    x = _spread(rows, widths, above, below, len(sizes))
    left = min(x[i] - widths[i] / 2 for i in range(len(widths)))
    right = max(x[i] + widths[i] / 2 for i in range(len(widths)))
    bands, top = [], 0.0
    for row in rows:
        height = max(sizes[i][1] for i in row if i < len(sizes))
        bands.append((top, top + height))
        top += height + GAP
    centres = [Point(x[v] - left, sum(bands[layers[v]]) / 2) for v in range(len(sizes))]
    ways = [[x[p] - left for p in through] for through in points]
    return Layout(right - left, bands[-1][1], centres, bands, layers, ways)


def _check(n: int, edges: Sequence[tuple[int, int]]) -> None:
    if not n:
        raise SettingError("a graph without vertices cannot be drawn: give one or more")
    for edge in edges:
        if len(edge) != 2 or not all(0 <= end < n for end in edge):
            raise SettingError(f"edge {edge!r}: give two of the vertices 0 to {n - 1}")
    if len(set(edges)) < len(edges):
        raise SettingError("an edge is given twice: give it once")


def _longest_paths(n: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """For each vertex the most edges on a path to it."""
    into = [[u for u, v in edges if v == vertex] for vertex in range(n)]
    layers: dict[int, int] = {}
    while len(layers) < n:
        ready = [v for v in range(n) if v not in layers and all(u in layers for u in into[v])]
        if not ready:
            raise SettingError("the edges make a circle: draw acyclic graphs only")
        for v in ready:
            layers[v] = 1 + max((layers[u] for u in into[v]), default=-1)
    return [layers[v] for v in range(n)]


def _neighbours(
    n: int, links: Sequence[tuple[int, int]]
) -> tuple[list[list[int]], list[list[int]]]:
    above: list[list[int]] = [[] for _ in range(n)]
    below: list[list[int]] = [[] for _ in range(n)]
    for upper, lower in links:
        above[lower].append(upper)
        below[upper].append(lower)
    return above, below


def _uncrossed(
    rows: list[list[int]], above: list[list[int]], below: list[list[int]]
) -> list[list[int]]:
    """The rows in an order with few crossings: barycentres, then swaps of neighbours."""
    best, fewest = [list(row) for row in rows], _crossings(rows, below)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        downwards = sweep % 2 == 0
        near = above if downwards else below
        for index in range(len(rows)) if downwards else reversed(range(len(rows))):
            beside = rows[index - 1] if downwards else rows[(index + 1) % len(rows)]
            place = {item: i for i, item in enumerate(beside)}
            own = {item: i for i, item in enumerate(rows[index])}
            centres = {}
            for item in rows[index]:
                found = [place[i] for i in near[item] if i in place]
                centres[item] = sum(found) / len(found) if found else own[item]
            rows[index] = sorted(rows[index], key=centres.__getitem__)
        _swap(rows, above, below)
        count = _crossings(rows, below)
        if count < fewest:
            best, fewest = [list(row) for row in rows], count
    return best


def _swap(rows: list[list[int]], above: list[list[int]], below: list[list[int]]) -> None:
    """Swaps neighbours as long as that takes crossings away."""
    improved = True
    while improved:
        improved = False
        for index, row in enumerate(rows):
            beside = [
                ({item: i for i, item in enumerate(rows[other])}, links)
                for other, links in ((index - 1, above), (index + 1, below))
                if 0 <= other < len(rows)
            ]
            for i in range(len(row) - 1):
                gain = 0
                for place, links in beside:
                    left, right = ([place[item] for item in links[v]] for v in row[i : i + 2])
                    gain += sum((x > y) - (x < y) for x in left for y in right)
                if gain > 0:
                    row[i], row[i + 1] = row[i + 1], row[i]
                    improved = True


def _crossings(rows: Sequence[Sequence[int]], below: list[list[int]]) -> int:
    total = 0
    for upper, lower in pairwise(rows):
        place = {item: i for i, item in enumerate(lower)}
        ends = [(i, place[to]) for i, item in enumerate(upper) for to in below[item]]
        total += sum(
            (a[0] - b[0]) * (a[1] - b[1]) < 0 for i, a in enumerate(ends) for b in ends[i + 1 :]
        )
    return total


def _spread(
    rows: list[list[int]],
    widths: list[float],
    above: list[list[int]],
    below: list[list[int]],
    boxes: int,
) -> list[float]:
    """x of every item: near the mean of its neighbours, as far as those beside it leave room."""
    x = [0.0] * len(widths)
    for row in rows:
        x_row = _apart([0.0] * len(row), [1.0] * len(row), row, widths)
        for item, at in zip(row, x_row, strict=True):
            x[item] = at
    for sweep in range(2 * _SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted, weights = [], []
            for item in row:
                near = [(i, _pull(i, item, boxes)) for i in above[item] + below[item]]
                weight = sum(pull for _, pull in near)
                mean = sum(x[i] * pull for i, pull in near) / weight if near else x[item]
                wanted.append(mean)
                weights.append(max(weight, 1.0))
            for item, at in zip(row, _apart(wanted, weights, row, widths), strict=True):
                x[item] = at
    return x


def _pull(one: int, other: int, boxes: int) -> float:
    """How hard an edge's ends pull at each other: most between layers, so that it is straight."""
    return (1.0, 2.0, 8.0)[(one >= boxes) + (other >= boxes)]


def _apart(
    wanted: list[float], weights: list[float], row: list[int], widths: list[float]
) -> list[float]:
    """The places nearest to the wanted ones, by weighted squares, that keep the order and the gaps.

    Isotonic regression once the gaps are taken off, by pooling adjacent violators.
    """
    shifts, shift = [], 0.0
    for i, item in enumerate(row):
        if i:
            shift += (widths[row[i - 1]] + widths[item]) / 2 + BESIDE
        shifts.append(shift)
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for target, weight, own in zip(wanted, weights, shifts, strict=True):
        mean, total, count = target - own, weight, 1
        while pools and pools[-1][0] > mean:
            before, heavy, many = pools.pop()
            mean = (mean * total + before * heavy) / (total + heavy)
            total, count = total + heavy, count + many
        pools.append((mean, total, count))
    means = [mean for mean, _, count in pools for _ in range(count)]
    return [mean + own for mean, own in zip(means, shifts, strict=True)]
