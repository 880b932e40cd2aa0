"""A network of a graph written a second time: NumPy, float64, definitions rather than speed."""

import numpy as np

from search_spaces.execution import Variables
from search_spaces.graph import Graph
from search_spaces.layers import (
    Add,
    Arrays,
    Concatenate,
    ConvBN,
    Dense,
    GlobalAverage,
    Halve,
    Layer,
    MaxPool3x3,
    ProjectAdd,
)


def forward(
    graph: Graph, params: Variables, stats: Variables | None, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Variables]:
    """Features, logits and what normalised each step: ``stats``, or where None the batch's own."""
    values = [images.astype(np.float64)]
    used: Variables = []
    for position, step in enumerate(graph.steps):
        inputs = [values[i] for i in step.inputs]
        given = None if stats is None else stats[position]
        output, seen = apply(step.layer, params[position], given, inputs)
        values.append(output)
        used.append(seen)
    return values[-2], values[-1], used


def apply(
    layer: Layer, params: Arrays, stats: Arrays | None, inputs: list[np.ndarray]
) -> tuple[np.ndarray, Arrays]:
    """One layer's output and the statistics that normalised it."""
    match layer:
        case ProjectAdd():
            output, used = conv_bn(params, stats, inputs[0])
            return added([output, *truncated(inputs[1:], layer.outputs)]), used
        case ConvBN():
            return conv_bn(params, stats, added(truncated(inputs, layer.inputs)))
        case MaxPool3x3():
            return pooled(added(truncated(inputs, layer.channels))), {}
        case Add():
            return added(truncated(inputs, layer.channels)), {}
        case Halve():
            n, h, w, c = inputs[0].shape
            even = inputs[0][:, : h // 2 * 2, : w // 2 * 2]
            return even.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4)), {}
        case Concatenate():
            parts = [x[..., :c] for x, c in zip(inputs, layer.channels, strict=True)]
            parts.append(np.zeros((*inputs[0].shape[:3], layer.padding)))
            return np.concatenate(parts, -1), {}
        case GlobalAverage():
            return inputs[0].mean((1, 2)), {}
        case Dense():
            return inputs[0] @ params["kernel"] + params.get("bias", 0), {}
        case _:
            raise AssertionError(f"the reference does not know {layer}")


def added(terms: list[np.ndarray]) -> np.ndarray:
    return np.sum(terms, axis=0)


def truncated(inputs: list[np.ndarray], channels: int) -> list[np.ndarray]:
    return [x[..., :channels] for x in inputs]


def convolved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Stride 1, zeros around: every output pixel is a sum over the taps."""
    side = kernel.shape[0] // 2
    height, width = x.shape[1:3]
    x = np.pad(x, ((0, 0), (side, side), (side, side), (0, 0)))
    taps = [
        x[:, i : i + height, j : j + width] @ kernel[i, j].astype(np.float64)
        for i in range(kernel.shape[0])
        for j in range(kernel.shape[1])
    ]
    return added(taps)


def conv_bn(params: Arrays, stats: Arrays | None, x: np.ndarray) -> tuple[np.ndarray, Arrays]:
    product = convolved(x, np.asarray(params["kernel"]))
    if stats is None:
        stats = {"mean": product.mean((0, 1, 2)), "variance": product.var((0, 1, 2))}
    normal = (product - stats.get("mean", 0)) / np.sqrt(stats.get("variance", 1) + 1e-5)
    return np.maximum(normal * params.get("scale", 1) + params.get("bias", 0), 0), stats


def pooled(x: np.ndarray) -> np.ndarray:
    height, width = x.shape[1:3]
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    shifts = [x[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return np.max(shifts, axis=0)
