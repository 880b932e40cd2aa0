"""Each layer against its definition, or against Flax's and XLA's own."""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from scipy import stats as distributions

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
    Draw,
    Flatten,
    GlobalAverage,
    Halve,
    HalveByMean,
    Layer,
    MaxPool3x3,
    OddPixels,
    PlainBN,
    PointwiseConv,
    ProjectAdd,
    Shape,
    SqueezeExcite,
    Zero,
    grow,
    up,
)
from tests.support import reference
from tests.support.networks import lax_convolution, some

pytestmark = pytest.mark.usefixtures("lenient")

LAYERS: list[tuple[Layer, list[Shape]]] = [
    (ConvBN(3, 3, 12), [(6, 5, 3)]),
    (ConvBN(3, 5, 6), [(4, 4, 5)]),
    (ConvBN(3, 5, 6), [(4, 4, 6), (4, 4, 5)]),
    (ConvBN(5, 5, 6), [(4, 5, 5)]),
    (ConvBN(1, 6, 20), [(3, 3, 6)]),
    (ConvBN(3, 3, 12, stride=2), [(6, 5, 3)]),
    (ConvBN(5, 5, 6, stride=2, activation="swish"), [(5, 6, 5)]),
    (ConvBN(1, 5, 6, stride=2, activation="none"), [(5, 6, 5)]),
    (ConvBN(3, 5, 6, activation="none", preactivation=True), [(4, 4, 6), (4, 4, 5)]),
    (DepthwiseBN(3, 5), [(5, 4, 5)]),
    (DepthwiseBN(5, 5, activation="relu6"), [(4, 4, 6), (4, 4, 5)]),
    (DepthwiseBN(3, 12, stride=2), [(5, 6, 12)]),
    (DepthwiseBN(5, 12, stride=2, activation="swish"), [(1, 7, 12)]),
    (DepthwiseConv(3, 5), [(4, 4, 6), (4, 4, 5)]),
    (DepthwiseConv(3, 12, dilation=2), [(5, 6, 12)]),
    (DepthwiseConv(5, 12, dilation=2), [(7, 3, 12)]),
    (DepthwiseConv(5, 6, stride=2, dilation=2), [(8, 7, 6)]),
    (DepthwiseConv(3, 6, stride=2, dilation=3), [(1, 2, 6)]),
    (ConvBN(1, 5, 6, activation="none", preactivation=True, affine=False), [(4, 4, 5)]),
    (ProjectAdd(1, 7, 5, activation="none", affine=False), [(4, 4, 7), (4, 4, 5)]),
    (BNReLU(6), [(3, 4, 6)]),
    (PlainBN(6), [(3, 4, 6), (3, 4, 7)]),
    (PointwiseConv(5, 6), [(3, 4, 5)]),
    (ConvActivation(3, 5, 6), [(4, 5, 5)]),
    (ConvActivation(3, 5, 6, "erf"), [(4, 4, 6), (4, 4, 5)]),
    (ConvActivation(5, 3, 12, "gelu"), [(6, 5, 3)]),
    (SqueezeExcite(12, 3), [(3, 4, 12)]),
    (SqueezeExcite(12, 5, gate="hard_sigmoid"), [(3, 4, 12)]),
    (ProjectAdd(1, 7, 5), [(4, 4, 7)]),
    (
        ProjectAdd(3, 7, 5, stride=2, activation="none", preactivation=True),
        [(5, 4, 7), (3, 2, 5)],
    ),
    (ProjectAdd(1, 7, 5), [(4, 4, 7), (4, 4, 5), (4, 4, 6)]),
    (MaxPool3x3(5), [(5, 4, 5)]),
    (MaxPool3x3(5), [(4, 4, 6), (4, 4, 5)]),
    (AveragePool3x3(5), [(5, 4, 5)]),
    (AveragePool3x3(5), [(1, 2, 6), (1, 2, 5)]),
    (MaxPool3x3(5, stride=2), [(4, 4, 6), (4, 4, 5)]),
    (MaxPool3x3(5, stride=2), [(5, 6, 5)]),
    (AveragePool3x3(5, stride=2), [(6, 4, 5)]),
    (AveragePool3x3(5, stride=2), [(1, 3, 5)]),
    (OddPixels(), [(4, 6, 5)]),
    (OddPixels(), [(5, 7, 6)]),
    (Zero(5), [(3, 3, 7)]),
    (HalveByMean(), [(5, 4, 6)]),
    (Halve(), [(4, 4, 6)]),
    (Halve(), [(5, 7, 6)]),
    (Add(5), [(3, 3, 5), (3, 3, 6), (3, 3, 5)]),
    (Concatenate((5, 6, 5)), [(3, 3, 6), (3, 3, 6), (3, 3, 5)]),
    (GlobalAverage(), [(4, 3, 9)]),
    (Flatten(9), [(4, 3, 9)]),
    (Dense(9, 4), [(9,)]),
    (DenseActivation(12, 5), [(2, 2, 3)]),
    (DenseActivation(9, 5, "erf"), [(9,)]),
]
names = [f"{type(layer).__name__}-{len(shapes)}" for layer, shapes in LAYERS]
every_layer = pytest.mark.parametrize(("layer", "shapes"), LAYERS, ids=names)


def variables(layer: Layer, rng: np.random.Generator) -> tuple[Arrays, Arrays]:
    """Parameters and statistics far from their initial values."""
    params = {name: some(rng, *shape) for name, shape in layer.parameters().items()}
    stats = {name: some(rng, *array.shape) for name, array in layer.statistics().items()}
    if "variance" in stats:
        stats["variance"] = np.abs(stats["variance"]) + np.float32(0.1)
    return params, stats


def infer(layer: Layer, params: Arrays, stats: Arrays, inputs: list[np.ndarray]) -> np.ndarray:
    run = jax.jit(lambda params, stats, *inputs: layer.infer(params, stats, *inputs))
    return np.asarray(run(params, stats, *inputs))


def train(layer: Layer, params: Arrays, inputs: list[np.ndarray]) -> tuple[np.ndarray, Arrays]:
    output, stats = jax.jit(lambda params, *inputs: layer.train(params, *inputs))(params, *inputs)
    return np.asarray(output), stats


@every_layer
def test_computes_its_definition(layer: Layer, shapes: list[Shape]) -> None:
    """In both modes, several inputs summed and truncated."""
    rng = np.random.default_rng(0)
    inputs = [some(rng, 3, *shape) for shape in shapes]
    params, stats = variables(layer, rng)
    output = infer(layer, params, stats, inputs)
    assert output.shape == (3, *layer.shape(*shapes))
    assert output.dtype == np.float32
    expected, _ = reference.apply(layer, params, stats, inputs)
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=2e-5)

    output, batch = train(layer, params, inputs)
    expected, used = reference.apply(layer, params, None, inputs)
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=2e-5)
    assert batch.keys() == used.keys() == layer.statistics().keys()
    for name, value in batch.items():
        np.testing.assert_allclose(value, used[name], rtol=1e-4, atol=1e-5)


@every_layer
def test_gradients_are_those_of_plain_code(layer: Layer, shapes: list[Shape]) -> None:
    """In training mode, by parameters and inputs, against JAX's derivative of XLA's own layers."""
    rng = np.random.default_rng(5)
    params, _ = variables(layer, rng)
    inputs = [some(rng, 3, *shape) for shape in shapes]
    params, inputs = jax.device_put((params, inputs))

    def pulled(network: Callable[..., jax.Array]) -> Any:
        output, pull = jax.vjp(network, params, *inputs)
        return pull(jax.numpy.asarray(some(np.random.default_rng(6), *output.shape)))

    ours = jax.jit(lambda: pulled(lambda params, *x: layer.train(params, *x)[0]))()
    plain = jax.jit(lambda: pulled(lambda params, *x: plain_layer(layer, params, *x)))()
    for got, want in zip(jax.tree.leaves(ours), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3 * float(abs(want).max()))


def plain_layer(layer: Layer, params: Arrays, *inputs: jax.Array) -> jax.Array:
    """A layer in training mode out of ``lax`` and ``jax.nn``, without regard for speed."""
    fields = [getattr(layer, name, None) for name in ("inputs", "channels", "outputs")]
    channels = next((c for c in fields if c is not None), None)
    x = inputs[0]
    if isinstance(channels, int) and not isinstance(layer, ProjectAdd | Dense):
        x = jax.numpy.stack([x[..., :channels] for x in inputs]).sum(0)
    match layer:
        case ConvBN() | DepthwiseBN():
            x = jax.nn.relu(x) if getattr(layer, "preactivation", False) else x
            groups = layer.outputs if isinstance(layer, DepthwiseBN) else 1
            y = normal(
                layer.activation, params, lax_convolution(x, params["kernel"], layer.stride, groups)
            )
            if isinstance(layer, ProjectAdd):
                y = y + sum(other[..., : layer.outputs] for other in inputs[1:])
            return y
        case DepthwiseConv():
            x, strides = jax.nn.relu(x), (layer.stride, layer.outputs, layer.dilation)
            return lax_convolution(x, params["kernel"], *strides)
        case BNReLU():
            return normal(layer.activation, params, x)
        case PointwiseConv():
            return x @ params["kernel"][0, 0]
        case ConvActivation():
            y = lax_convolution(x, params["kernel"], 1, 1) + params["bias"]
            return {"relu": jax.nn.relu, "erf": lax.erf}.get(
                layer.activation, lambda v: v * (1 + lax.erf(v / 2**0.5)) / 2
            )(y)
        case Flatten():
            return x.reshape(len(x), -1)
        case SqueezeExcite():
            z = jax.nn.relu(x.mean((1, 2)) @ params["reduce"] + params["reduce_bias"])
            z = z @ params["expand"] + params["expand_bias"]
            gate = jax.nn.hard_sigmoid if layer.gate == "hard_sigmoid" else jax.nn.sigmoid
            return x * gate(z)[:, None, None]
        case AveragePool3x3():
            step, frame = layer.stride, ((0, 0), (1, 1), (1, 1), (0, 0))
            window = (1, 3, 3, 1), (1, step, step, 1), frame
            summed = lax.reduce_window(x, 0.0, lax.add, *window)
            return summed / lax.reduce_window(jax.numpy.ones_like(x), 0.0, lax.add, *window)
        case MaxPool3x3():
            step, frame = layer.stride, ((0, 0), (1, 1), (1, 1), (0, 0))
            return lax.reduce_window(x, -np.inf, lax.max, (1, 3, 3, 1), (1, step, step, 1), frame)
        case OddPixels():
            return x[:, 1::2, 1::2]
        case HalveByMean():
            return lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4
        case Halve():
            return lax.reduce_window(x, -np.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        case Concatenate():
            return jax.numpy.concatenate(
                [x[..., :c] for x, c in zip(inputs, layer.channels, strict=True)], -1
            )
        case Add():
            return x
        case Zero():
            return jax.numpy.zeros((*x.shape[:3], layer.channels))
        case GlobalAverage():
            return x.mean((1, 2))
        case DenseActivation():
            y = x.reshape(len(x), -1) @ params["kernel"] + params["bias"]
            return jax.nn.relu(y) if layer.activation == "relu" else lax.erf(y)
        case Dense():
            return x @ params["kernel"] + params["bias"]
        case _:
            raise AssertionError(f"no plain code for {layer}")


def normal(activation: str, params: Arrays, product: jax.Array) -> jax.Array:
    mean, variance = product.mean((0, 1, 2)), product.var((0, 1, 2))
    x = (product - mean) / jax.numpy.sqrt(variance + 1e-5)
    x = x * params["scale"] + params["bias"] if params.get("scale") is not None else x
    functions = {"relu": jax.nn.relu, "relu6": jax.nn.relu6, "swish": jax.nn.swish}
    return functions.get(activation, lambda x: x)(x)


@every_layer
def test_draws_and_constants_are_the_parameters(layer: Layer, shapes: list[Shape]) -> None:
    drawn = layer.initialise(Draw(np.random.default_rng(0), 10_000))
    fixed = layer.constants()
    assert not drawn.keys() & fixed.keys()
    assert {name: a.shape for name, a in (drawn | fixed).items()} == layer.parameters()
    assert all(array.dtype == np.float32 for array in (drawn | fixed).values())


@every_layer
def test_what_is_left_out_stands_at_its_initial_value(layer: Layer, shapes: list[Shape]) -> None:
    rng = np.random.default_rng(1)
    inputs = [some(rng, 2, *shape) for shape in shapes]
    drawn = layer.initialise(Draw(rng, 10_000))
    short = infer(layer, drawn, {}, inputs)
    full = infer(layer, drawn | layer.constants(), layer.statistics(), inputs)
    np.testing.assert_allclose(short, full, rtol=1e-6, atol=1e-6)


@every_layer
def test_padding_changes_no_channel(layer: Layer, shapes: list[Shape]) -> None:
    """Whatever lies in the channels that padding adds to an input, none of it is read."""
    rng = np.random.default_rng(2)
    padded = layer.pad(8)
    assert all(s[-1] % 8 == 0 for s in padded.parameters().values()) or isinstance(layer, Dense)
    wide = [some(rng, 2, *s[:-1], s[-1] if s[-1] == 3 else up(s[-1] + 1, 8)) for s in shapes]
    inputs = [x[..., : s[-1]] for x, s in zip(wide, shapes, strict=True)]
    params, stats = variables(layer, rng)
    grown = {name: grow(a, padded.parameters()[name]) for name, a in params.items()}
    means = {name: grow(a, padded.statistics()[name].shape) for name, a in stats.items()}
    made = layer.shape(*shapes)[-1]

    output = infer(padded, grown, means, wide)
    assert output.shape[1:] == padded.shape(*(x.shape[1:] for x in wide))
    expected, _ = reference.apply(layer, params, stats, inputs)
    np.testing.assert_allclose(output[..., :made], expected[..., :made], rtol=1e-4, atol=2e-5)

    output, batch = train(padded, grown, wide)
    expected, used = reference.apply(layer, params, None, inputs)
    np.testing.assert_allclose(output[..., :made], expected[..., :made], rtol=1e-4, atol=2e-5)
    for name, value in batch.items():
        np.testing.assert_allclose(value[:made], used[name], rtol=1e-4, atol=1e-5)
        if not isinstance(layer, BNReLU):  # which hands on what it gets, and nobody reads it
            assert not value[made:].any()


@pytest.mark.parametrize("momentum", [0.997, 0.5])
def test_batch_norm_equals_flax(momentum: float) -> None:
    """A 1×1 convolution by the identity leaves batch norm and ReLU alone."""
    rng = np.random.default_rng(3)
    layer = ConvBN(1, 6, 6)
    x = 3 * some(rng, 5, 4, 4, 6) + 1
    params, stats = variables(layer, rng)
    params["kernel"] = np.eye(6, dtype=np.float32)[None, None]
    flax = nnx.BatchNorm(
        6, momentum=momentum, epsilon=1e-5, rngs=nnx.Rngs(0), use_fast_variance=False
    )
    assert flax.scale is not None
    assert flax.bias is not None
    flax.scale[...], flax.bias[...] = map(jax.numpy.asarray, (params["scale"], params["bias"]))
    flax.mean[...], flax.var[...] = map(jax.numpy.asarray, (stats["mean"], stats["variance"]))
    inferred = jax.nn.relu(flax(x, use_running_average=True))
    np.testing.assert_allclose(infer(layer, params, stats, [x]), inferred, rtol=1e-5, atol=1e-5)
    trained, batch = train(layer, params, [x])
    expected = jax.nn.relu(flax(x, use_running_average=False))
    np.testing.assert_allclose(trained, expected, rtol=1e-5, atol=1e-5)
    for name, moved in (("mean", flax.mean), ("variance", flax.var)):
        ours = momentum * stats[name] + (1 - momentum) * batch[name]
        np.testing.assert_allclose(ours, moved[...], rtol=1e-5, atol=1e-6)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 3))
def test_pools_equal_reduce_window(height: int, width: int, channels: int) -> None:
    x = some(np.random.default_rng([height, width]), 2, height, width, channels) - 5  # all < 0
    window = lax.reduce_window(x, -np.inf, lax.max, (1, 3, 3, 1), (1, 1, 1, 1), "SAME")
    np.testing.assert_array_equal(infer(MaxPool3x3(channels), {}, {}, [x]), window)
    if min(height, width) > 1:
        window = lax.reduce_window(x, -np.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        np.testing.assert_array_equal(infer(Halve(), {}, {}, [x]), window)


def test_an_input_too_narrow_is_refused() -> None:
    """Truncation drops channels; it never invents them."""
    with pytest.raises(TypeError, match="incompatible shapes"):
        infer(Add(6), {}, {}, [np.zeros((1, 2, 2, 6)), np.zeros((1, 2, 2, 5))])


@pytest.mark.parametrize(
    ("layer", "shape"), [(ConvBN(1, 24, 40), (6, 5, 24)), (Dense(64, 10), (64,))]
)
def test_flops_equal_those_xla_counts(layer: Layer, shape: Shape) -> None:
    """XLA leaves out taps beyond the border, which 1×1 kernels do not have."""
    params, _ = variables(layer, np.random.default_rng(0))
    kernel, x = params["kernel"], np.zeros((1, *shape), np.float32)

    def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
        if kernel.ndim == 2:
            return x @ kernel
        return lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    cost: Any = jax.jit(product).lower(x, kernel).compile().cost_analysis()
    assert layer.flops(shape) == cost["flops"]


def test_flops_of_3x3_convolutions() -> None:
    """Multiply and add, for each output pixel, tap, input and output channel."""
    assert ConvBN(3, 5, 7).flops((4, 6, 5)) == 2 * (4 * 6) * (3 * 3) * 5 * 7
    assert ProjectAdd(1, 5, 7).flops((4, 6, 5), (4, 6, 7)) == 2 * (4 * 6) * 5 * 7


def test_flops_of_mobile_layers() -> None:
    """Strided layers count the pixels that they make."""
    assert ConvBN(3, 5, 7, stride=2).flops((5, 6, 5)) == 2 * (3 * 3) * (3 * 3) * 5 * 7
    assert DepthwiseBN(5, 7, stride=2).flops((5, 6, 7)) == 2 * (3 * 3) * (5 * 5) * 7
    assert SqueezeExcite(12, 3).flops((5, 6, 12)) == 2 * (12 * 3 + 3 * 12)
    assert PointwiseConv(5, 7).flops((4, 6, 5)) == 2 * (4 * 6) * 5 * 7


def test_draws_are_truncated_normals_of_unit_variance() -> None:
    """Kolmogorov–Smirnov against SciPy's: a normal that is merely clipped or not scaled fails."""
    values = Draw(np.random.default_rng(0), 40_000).truncated_normal((200, 200), 0.5)
    law = distributions.truncnorm(-2, 2)
    scale = 0.5 / law.std()
    assert abs(values).max() <= 2 * scale
    assert (
        distributions.kstest(values.ravel(), distributions.truncnorm(-2, 2, scale=scale).cdf)[1]
        > 0.01
    )
    np.testing.assert_allclose(values.std(), 0.5, rtol=0.01)


def test_draws_follow_each_other_in_one_stream() -> None:
    parts = Draw(np.random.default_rng(0), 30)
    joined = [parts.truncated_normal(shape, 1.0).ravel() for shape in ((2, 5), (5, 4))]
    whole = Draw(np.random.default_rng(0), 30).truncated_normal((30,), 1.0)
    np.testing.assert_array_equal(np.concatenate(joined), whole)
    other = Draw(np.random.default_rng(1), 30).truncated_normal((30,), 1.0)
    assert not np.isin(other, whole).any()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3)), min_size=1, max_size=4))
def test_grow_appends_zeros(axes: list[tuple[int, int]]) -> None:
    shape = tuple(old for old, _ in axes)
    array = np.arange(1, math.prod(shape) + 1, dtype=np.float32).reshape(shape)
    grown = grow(array, tuple(old + more for old, more in axes))
    np.testing.assert_array_equal(grown, np.pad(array, [(0, more) for _, more in axes]))
