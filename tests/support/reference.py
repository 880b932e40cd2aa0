"""A network of a graph written a second time: NumPy, float64, definitions rather than speed."""

import math

import numpy as np

from nasproxy.networks.execution import Variables
from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import (
    Add,
    Arrays,
    AveragePool3x3,
    BNReLU,
    Concatenate,
    ConvActivation,
    ConvBN,
    Dense,
    DenseActivation,
    DepthwiseBN,
    DepthwiseConv,
    Flatten,
    GlobalAverage,
    Halve,
    HalveByMean,
    Layer,
    MaxPool3x3,
    OddPixels,
    PointwiseConv,
    ProjectAdd,
    SqueezeExcite,
    Zero,
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
            output, used = conv_bn(layer, params, stats, inputs[0])
            return added([output, *truncated(inputs[1:], layer.outputs)]), used
        case ConvBN():
            return conv_bn(layer, params, stats, added(truncated(inputs, layer.inputs)))
        case DepthwiseBN():
            x = added(truncated(inputs, layer.outputs))
            product = convolved(x, diagonal(params), layer.stride)
            return normalised(product, params, stats, layer.activation)
        case DepthwiseConv():
            x = np.maximum(added(truncated(inputs, layer.outputs)), 0)
            return convolved(x, diagonal(params), layer.stride, layer.dilation), {}
        case BNReLU():
            x = added(truncated(inputs, layer.outputs))
            return normalised(x, params, stats, layer.activation)
        case PointwiseConv():
            return convolved(
                added(truncated(inputs, layer.inputs)), np.asarray(params["kernel"])
            ), {}
        case ConvActivation():
            x = added(truncated(inputs, layer.inputs))
            product = convolved(x, np.asarray(params["kernel"])) + params.get("bias", 0)
            return activated(product, layer.activation), {}
        case Flatten():
            return inputs[0][..., : layer.channels].reshape(len(inputs[0]), -1), {}
        case SqueezeExcite():
            x = added(truncated(inputs, layer.channels))
            return x * gates(layer, params, x)[:, None, None], {}
        case MaxPool3x3():
            pixels = pooled(added(truncated(inputs, layer.channels)))
            return pixels[:, :: layer.stride, :: layer.stride], {}
        case AveragePool3x3():
            pixels = averaged(added(truncated(inputs, layer.channels)))
            return pixels[:, :: layer.stride, :: layer.stride], {}
        case Add():
            return added(truncated(inputs, layer.channels)), {}
        case Zero():
            return np.zeros((*inputs[0].shape[:3], layer.channels)), {}
        case OddPixels():
            return inputs[0][:, 1::2, 1::2], {}
        case Halve():
            n, h, w, c = inputs[0].shape
            even = inputs[0][:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c)
            return (even.mean if isinstance(layer, HalveByMean) else even.max)((2, 4)), {}
        case Concatenate():
            parts = [x[..., :c] for x, c in zip(inputs, layer.channels, strict=True)]
            parts.append(np.zeros((*inputs[0].shape[:3], layer.padding)))
            return np.concatenate(parts, -1), {}
        case GlobalAverage():
            return inputs[0].mean((1, 2)), {}
        case DenseActivation():
            flat = inputs[0].reshape(len(inputs[0]), -1)
            return activated(flat @ params["kernel"] + params.get("bias", 0), layer.activation), {}
        case Dense():
            return inputs[0] @ params["kernel"] + params.get("bias", 0), {}
        case _:
            raise AssertionError(f"the reference does not know {layer}")


def added(terms: list[np.ndarray]) -> np.ndarray:
    return np.sum(terms, axis=0)


def truncated(inputs: list[np.ndarray], channels: int) -> list[np.ndarray]:
    return [x[..., :channels] for x in inputs]


def diagonal(params: Arrays) -> np.ndarray:
    """A depthwise kernel as one of all channels."""
    kernel = np.asarray(params["kernel"])
    return kernel[:, :, 0, :, None] * np.eye(kernel.shape[3])


def convolved(x: np.ndarray, kernel: np.ndarray, stride: int = 1, dilation: int = 1) -> np.ndarray:
    """dilation · (k // 2) zeros around: every output pixel is a sum over the taps."""
    side = dilation * (kernel.shape[0] // 2)
    height, width = x.shape[1:3]
    x = np.pad(x, ((0, 0), (side, side), (side, side), (0, 0)))
    taps = [
        x[:, dilation * i : dilation * i + height, dilation * j : dilation * j + width]
        @ kernel[i, j].astype(np.float64)
        for i in range(kernel.shape[0])
        for j in range(kernel.shape[1])
    ]
    return added(taps)[:, ::stride, ::stride]


def conv_bn(
    layer: ConvBN, params: Arrays, stats: Arrays | None, x: np.ndarray
) -> tuple[np.ndarray, Arrays]:
    x = np.maximum(x, 0) if layer.preactivation else x
    product = convolved(x, np.asarray(params["kernel"]), layer.stride)
    return normalised(product, params, stats, layer.activation)


def normalised(
    product: np.ndarray, params: Arrays, stats: Arrays | None, activation: str
) -> tuple[np.ndarray, Arrays]:
    if stats is None:
        stats = {"mean": product.mean((0, 1, 2)), "variance": product.var((0, 1, 2))}
    normal = (product - stats.get("mean", 0)) / np.sqrt(stats.get("variance", 1) + 1e-5)
    return activated(normal * params.get("scale", 1) + params.get("bias", 0), activation), stats


def activated(x: np.ndarray, activation: str) -> np.ndarray:
    match activation:
        case "relu":
            return np.maximum(x, 0)
        case "relu6":
            return np.minimum(np.maximum(x, 0), 6)
        case "swish":
            return x / (1 + np.exp(-x))
        case "erf":
            return np.vectorize(math.erf)(x)
        case "gelu":
            return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2
        case "none":
            return x
        case _:
            raise AssertionError(f"the reference does not know {activation}")


def gates(layer: SqueezeExcite, params: Arrays, x: np.ndarray) -> np.ndarray:
    hidden = x.mean((1, 2)) @ params["reduce"] + params.get("reduce_bias", 0)
    z = np.maximum(hidden, 0) @ params["expand"] + params.get("expand_bias", 0)
    if layer.gate == "hard_sigmoid":
        return np.minimum(np.maximum(z / 6 + 0.5, 0), 1)
    return 1 / (1 + np.exp(-z))


def averaged(x: np.ndarray) -> np.ndarray:
    """PyTorch's AvgPool2d(3, stride=1, padding=1, count_include_pad=False)."""
    means = np.empty_like(x)
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            near = x[:, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
            means[:, i, j] = near.mean((1, 2))
    return means


def pooled(x: np.ndarray) -> np.ndarray:
    height, width = x.shape[1:3]
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    shifts = [x[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return np.max(shifts, axis=0)
