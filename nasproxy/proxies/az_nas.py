"""AZ-NAS's parts (Lee and Ham 2024): what a network's blocks make of noise, and pass back.

Its fourth part, complexity, is the proxy ``flops``; AZ-NAS ranks a set of networks by Σ ln(rank/n)
of the four, which is no score of one network.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import numpy as np
from jaxtyping import Float, Float64

from nasproxy.checks import OneOf, Rule
from nasproxy.networks.differentiation import add
from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import TRAINING, GlobalAverage
from nasproxy.networks.passes import pull_step
from nasproxy.proxies.base import Card, NoScore
from nasproxy.proxies.batches import NORMAL, Batch
from nasproxy.proxies.passes import OfPasses, Pass, Reader, Run, Wanted, finite


@dataclass(frozen=True)
class Block:
    """Steps with one value in and one out.

    Attributes:
        steps: their positions, those that the logits depend on.
        read, made: values of the graph.
    """

    steps: tuple[int, ...]
    read: int
    made: int


def blocks(graph: Graph) -> list[Block]:
    """The blocks of a network from its stem to its global average, as the scopes of names say.

    Steps of one scope, as ``stage1.cell2``, are one; what precedes it in a scope around it, as a
    pool between stacks, belongs to it; a step without a scope is one by itself, and a ``head`` is
    none. A cell that adds no step, for it hands on what it reads, is none.

    Raises:
        NoScore: there is no global average, or blocks read more than the one before them made.
    """
    ends = [i for i, step in enumerate(graph.steps) if isinstance(step.layer, GlobalAverage)]
    if not ends:
        raise NoScore("there are no blocks: the network has no global average")
    last = ends[-1]
    groups: list[tuple[str, list[int]]] = []
    for position, step in enumerate(graph.steps[:last]):
        if not graph.live[position] or step.name == "head":
            continue
        label = step.name.rpartition(".")[0] or step.name
        before = groups[-1][0] if groups else None
        if before == label or (before and label.startswith(f"{before}.")):
            groups[-1] = (label, [*groups[-1][1], position])
        else:
            groups.append((label, [position]))
    read = []
    for label, own in groups:
        made = {i + 1 for i in own}
        outside = {i for p in own for i in graph.steps[p].inputs} - made
        if len(outside) != 1:
            raise NoScore(f"block {label} reads {len(outside)} values, and one is expected")
        read.append(outside.pop())
    end = graph.steps[last].inputs[0]
    if end and graph.steps[end - 1].name == "head":
        end = graph.steps[end - 1].inputs[0]
    made_by = [*read[1:], end]
    return [Block(tuple(own), i, o) for (_, own), i, o in zip(groups, read, made_by, strict=True)]


@dataclass(frozen=True)
class OfBlocks(OfPasses):
    """A part of AZ-NAS, of unit normal images; batch norm is by the batch's statistics."""

    rules: ClassVar[dict[str, Rule]] = {"batch_norm": OneOf(TRAINING)}
    card: ClassVar[Card] = Card(
        "variance 1/fan-in", "64 of unit normals", "training", "64 F", "Lee and Ham 2024"
    )

    def wanted(self) -> tuple[Wanted, ...]:
        made = Pass(Batch(NORMAL, self.batch), self.init, self.batch_norm)
        return (Wanted(made, keep=True),)


@dataclass(frozen=True)
class Expressivity(OfBlocks):
    """Σ over blocks of the entropy of what they make: of AZ-NAS, expressivity.

    The entropy is that of the normalised eigenvalues of the channels' covariance over images and
    pixels.
    """

    name: ClassVar[str] = "az_expressivity"
    inside: ClassVar[bool] = True

    def reader(self, graph: Graph) -> Reader:
        return _Entropies(blocks(graph))


@dataclass(frozen=True)
class Progressivity(OfBlocks):
    """The least growth of entropy from a block to the next: of AZ-NAS, progressivity."""

    name: ClassVar[str] = "az_progressivity"
    inside: ClassVar[bool] = True

    def reader(self, graph: Graph) -> Reader:
        found = blocks(graph)
        if len(found) < 2:
            raise NoScore("there is one block, and none to grow to")
        return _Growth(found)


@dataclass(frozen=True)
class Trainability(OfBlocks):
    """Mean over blocks of 2 − σ − 1/(σ + 10⁻⁶): of AZ-NAS, trainability.

    σ is the largest singular value of a block's Jacobian by channels, which random signs estimate:
    the mean over images and pixels of what they are pulled back to, times them. A block that halves
    the image has the pixels that it reads as channels.
    """

    name: ClassVar[str] = "az_trainability"
    inside: ClassVar[bool] = True
    card: ClassVar[Card] = Card(
        "variance 1/fan-in", "64 of unit normals", "training", "64·3 F", "Lee and Ham 2024"
    )

    def reader(self, graph: Graph) -> Reader:
        found = blocks(graph)
        if len(found) < 2:
            raise NoScore("there is the stem alone, and no block")
        return _Jacobians(found[1:])


class _Entropies(Reader):
    def __init__(self, found: list[Block]) -> None:
        self._blocks = found
        self.entropies: list[float] = []

    def after(self, run: Run) -> None:
        for block in self._blocks:
            made = run.forward.values[block.made]
            own = run.network.graph.shapes[block.made][-1]
            self.entropies.append(entropy(np.asarray(_covariance(made))[:own, :own]))

    def score(self) -> float:
        return finite(sum(self.entropies), "the entropy")


class _Growth(_Entropies):
    def score(self) -> float:
        return finite(float(np.diff(self.entropies).min()), "the entropy")


class _Jacobians(Reader):
    def __init__(self, found: list[Block]) -> None:
        self._blocks = found
        self._terms: list[float] = []

    def after(self, run: Run) -> None:
        shapes = run.network.graph.shapes
        rng = np.random.default_rng((run.seed, 4))
        for block in self._blocks:
            made: Any = run.forward.values[block.made]
            signs = np.zeros(made.shape, np.float32)
            own = shapes[block.made]
            size = (len(made), *own)
            signs[..., : own[-1]] = 2 * rng.integers(2, size=size).astype(np.float32) - 1
            back = np.asarray(_pulled(run, block, jax.device_put(signs)))
            largest = top_singular(back[..., : shapes[block.read][-1]], signs[..., : own[-1]])
            self._terms.append(2 - largest - 1 / (largest + 1e-6))

    def score(self) -> float:
        return finite(float(np.mean(self._terms)), "a Jacobian")


def _pulled(run: Run, block: Block, cotangent: jax.Array) -> jax.Array:
    """What a cotangent of a block's output is pulled back to at what the block reads."""
    graph, values = run.forward.graph, run.forward.values
    found = {block.made: cotangent}
    for position in reversed(block.steps):
        if position + 1 not in found:
            continue
        places = graph.steps[position].inputs
        inputs: Any = tuple(values[i] for i in places)
        wanted = (True,) * len(places)
        out = found.pop(position + 1)
        _, back = pull_step(run.forward, position, wanted, inputs, out, to_params=False)
        for i, part in zip(places, back, strict=True):
            found[i] = add(found[i], part) if i in found else part
    return found[block.read]


def entropy(covariance: Float[np.ndarray, "c c"]) -> float:
    """−Σ p ln(p + 10⁻⁸), p the eigenvalues over their sum.

    Raises:
        NoScore: they are all 0, or not finite.
    """
    wide = covariance.astype(np.float64)
    if not np.isfinite(wide).all():
        raise NoScore("a block's values overflow")
    if not np.trace(wide) > 0:
        raise NoScore("a block makes a constant, which has no entropy")
    eigenvalues = np.maximum(np.linalg.eigvalsh(wide), 0)
    shares = eigenvalues / eigenvalues.sum()
    return float(-(shares * np.log(shares + 1e-8)).sum())


def top_singular(
    back: Float[np.ndarray, "n h w c"], signs: Float[np.ndarray, "n rows columns d"]
) -> float:
    """The largest singular value of the mean over images and pixels of ``back``·``signs``ᵀ."""
    n, rows, columns, outputs = signs.shape
    stride = back.shape[1] // rows
    folded = back[:, : rows * stride, : columns * stride].reshape(
        n, rows, stride, columns, stride, -1
    )
    reads = folded.transpose(0, 1, 3, 2, 4, 5).reshape(n * rows * columns, -1)
    matrix: Float64[np.ndarray, "reads d"] = (
        reads.astype(np.float64).T @ signs.reshape(-1, outputs) / len(reads)
    )
    if not np.isfinite(matrix).all():
        raise NoScore("a block's Jacobian overflows")
    return float(np.linalg.norm(matrix, 2))


@jax.jit
def _covariance(values: Any) -> jax.Array:
    flat = values.reshape(-1, values.shape[-1])
    centred = flat - flat.mean(0)[None]
    return centred.T @ centred / len(flat)
