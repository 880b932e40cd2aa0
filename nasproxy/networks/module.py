"""A graph as a Flax module, to train it or to take it into code of one's own.

Plain Flax and a second implementation: it shares with the engine of
:mod:`nasproxy.networks.execution` what is computed and the weights, and no arithmetic.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float

from nasproxy.networks import layers
from nasproxy.networks.execution import Variables
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.layers import ACTIVATIONS, EPSILON, GATES, Arrays, Layer


class Network(nnx.Module):
    """The network of a graph, a module for each step that learns, under the step's name.

    ``network.stack1.cell2.vertex3.conv.kernel`` is an ``nnx.Param`` of an ``nnx.Conv``;
    ``.norm`` beside ``.conv`` is an ``nnx.BatchNorm``, and ``network.readout.linear`` an
    ``nnx.Linear``. Called outside of ``nnx.jit`` it compiles operation by operation; to judge many
    architectures, use :class:`Initialised` instead, which compiles nothing for one of them.

    Attributes:
        graph: what it computes.
    """

    def __init__(self, initialised: Initialised, momentum: float = 0.997):
        """A module of its own, with the weights and statistics of ``initialised``.

        Args:
            initialised: the network; its variables are copied.
            momentum: weight of the old statistics when a batch moves them; NAS-Bench-101's.

        Raises:
            ValueError: a step whose name is an attribute of every module, such as ``train``.
        """
        self.graph = initialised.graph
        taken = set(dir(self))
        rngs = nnx.Rngs(0)  # Flax's layers ask for one; what it names is written over.
        variables = jax.device_put((initialised.complete, initialised.statistics))
        for step, params, stats in zip(self.graph.steps, *variables, strict=True):
            if type(step.layer) in FUNCTIONS:
                continue
            for part in step.name.split("."):
                if part in taken:
                    raise ValueError(
                        f"a step is named {step.name!r}, and {part!r} is an attribute of every "
                        "module: give it another name"
                    )
            block = BLOCKS.get(type(step.layer), OwnCode)(step.layer, momentum, rngs)
            for name, array in (params | stats).items():
                block.variable(name)[...] = array
            _attach(self, step.name, block)

    def features(
        self, x: Float[Array | np.ndarray, "n h w c"], train: bool = False
    ) -> Float[Array, "n d"]:
        """Penultimate features ``[n, d]`` of standardised images ``[n, h, w, c]``.

        With ``train``, batches are normalised by their own statistics, which also move those of
        every ``nnx.BatchNorm``: ``momentum`` · old + (1 − ``momentum``) · batch, the variance
        biased. A step that the logits do not depend on is not run.
        """
        return self._run(x, train, len(self.graph.steps) - 1)

    def __call__(
        self, x: Float[Array | np.ndarray, "n h w c"], train: bool = False
    ) -> Float[Array, "n classes"]:
        """Logits ``[n, classes]``; arguments as for :meth:`features`."""
        return self._run(x, train, len(self.graph.steps))

    def _run(self, x: Array | np.ndarray, train: bool, steps: int) -> Array:
        values = {0: jnp.asarray(x)}
        for i, (step, live) in enumerate(zip(self.graph.steps, self.graph.live, strict=True)):
            if live and i < steps:
                inputs = [values[j] for j in step.inputs]
                function = FUNCTIONS.get(type(step.layer))
                if function is None:
                    values[i + 1] = attrgetter(step.name)(self)(*inputs, train=train)
                else:
                    values[i + 1] = function(step.layer, *inputs)
        return values[steps]

    def variables(self) -> tuple[Variables, Variables]:
        """Every parameter and every statistic, a dictionary of arrays a step."""
        found: tuple[Variables, Variables] = [], []
        for step in self.graph.steps:
            block: Any = None  # of a layer that learns nothing, and so has no names
            if type(step.layer) not in FUNCTIONS:
                block = attrgetter(step.name)(self)
            names = step.layer.parameters(), step.layer.statistics()
            for arrays, some in zip(found, names, strict=True):
                arrays.append({name: block.variable(name)[...] for name in some})
        return found


class Scope(nnx.Module):
    """What the names before a dot stand for: ``stack1``, ``stack1.cell2``."""


def _attach(module: nnx.Module, name: str, block: nnx.Module) -> None:
    first, _, rest = name.partition(".")
    if not rest:
        setattr(module, first, block)
        return
    if not hasattr(module, first):
        setattr(module, first, Scope())
    _attach(getattr(module, first), rest, block)


class Block(nnx.Module):
    """The Flax modules of one layer, called on what the layer reads.

    Attributes:
        layer: what is computed.
        paths: where the layer's arrays are, by the names that it gives them.
    """

    paths: ClassVar[dict[str, str]]

    def __init__(self, layer: Any, momentum: float, rngs: nnx.Rngs):
        self.layer = layer

    def __call__(self, *inputs: Array, train: bool) -> Array:
        raise NotImplementedError

    def variable(self, name: str) -> nnx.Variable[Array]:
        """The variable that holds an array of the layer."""
        return attrgetter(self.paths[name])(self)


def _blank(shape: tuple[int, ...]) -> Array:
    return jax.device_put(np.zeros(shape, np.float32))  # compiles nothing, whatever the shape


def _init(key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    return _blank(shape)


def _conv(
    inputs: int,
    outputs: int,
    size: int,
    stride: int,
    rngs: nnx.Rngs,
    groups: int = 1,
    bias: bool = False,
    dilation: int = 1,
) -> nnx.Conv:
    side = dilation * (size // 2)
    frame = (side, side)
    return nnx.Conv(
        inputs,
        outputs,
        (size, size),
        (stride, stride),
        padding=(frame, frame),
        kernel_dilation=(dilation, dilation),
        feature_group_count=groups,
        use_bias=bias,
        kernel_init=_init,
        bias_init=_init,
        rngs=rngs,
    )


def _norm(layer: layers.BatchNormed, momentum: float, rngs: nnx.Rngs) -> nnx.BatchNorm:
    return nnx.BatchNorm(
        layer.outputs,
        momentum=momentum,
        epsilon=EPSILON,
        use_fast_variance=False,
        use_scale=layer.affine,
        use_bias=layer.affine,
        scale_init=_init,
        bias_init=_init,
        rngs=rngs,
    )


def _linear(inputs: int, outputs: int, rngs: nnx.Rngs) -> nnx.Linear:
    return nnx.Linear(inputs, outputs, kernel_init=_init, bias_init=_init, rngs=rngs)


def _added(inputs: tuple[Array, ...], channels: int) -> Array:
    """Sum of the inputs, each truncated to so many channels."""
    return sum((x[..., :channels] for x in inputs[1:]), start=inputs[0][..., :channels])


_NORM_PATHS = {
    "scale": "norm.scale",
    "bias": "norm.bias",
    "mean": "norm.mean",
    "variance": "norm.var",
}


class ConvBN(Block):
    """Convolution, batch normalisation, activation."""

    paths = _NORM_PATHS | {"kernel": "conv.kernel"}

    def __init__(self, layer: layers.ConvBN, momentum: float, rngs: nnx.Rngs):
        self.layer = layer
        self.conv = _conv(layer.inputs, layer.outputs, layer.size, layer.stride, rngs)
        self.norm = _norm(layer, momentum, rngs)

    def __call__(self, *inputs: Array, train: bool) -> Array:
        x = _added(inputs, self.layer.inputs)
        x = nnx.relu(x) if self.layer.preactivation else x
        x = self.norm(self.conv(x), use_running_average=not train)
        return ACTIVATIONS[self.layer.activation](x)


class ProjectAdd(ConvBN):
    """:class:`ConvBN` of the first input, to which the others are added."""

    def __call__(self, *inputs: Array, train: bool) -> Array:
        projection = super().__call__(inputs[0], train=train)
        return _added((projection, *inputs[1:]), self.layer.outputs)


class DepthwiseBN(Block):
    """Depthwise convolution, batch normalisation, activation."""

    paths = _NORM_PATHS | {"kernel": "conv.kernel"}

    def __init__(self, layer: layers.DepthwiseBN, momentum: float, rngs: nnx.Rngs):
        self.layer = layer
        channels = layer.outputs
        self.conv = _conv(channels, channels, layer.size, layer.stride, rngs, groups=channels)
        self.norm = _norm(layer, momentum, rngs)

    def __call__(self, *inputs: Array, train: bool) -> Array:
        x = self.conv(_added(inputs, self.layer.outputs))
        return ACTIVATIONS[self.layer.activation](self.norm(x, use_running_average=not train))


class DepthwiseConv(Block):
    """ReLU and depthwise convolution."""

    paths: ClassVar = {"kernel": "conv.kernel"}

    def __init__(self, layer: layers.DepthwiseConv, momentum: float, rngs: nnx.Rngs):
        self.layer = layer
        own = layer.outputs
        self.conv = _conv(own, own, layer.size, layer.stride, rngs, own, dilation=layer.dilation)

    def __call__(self, *inputs: Array, train: bool) -> Array:
        return self.conv(nnx.relu(_added(inputs, self.layer.outputs)))


class BNReLU(Block):
    """Batch normalisation, and ReLU unless the layer has none."""

    paths = _NORM_PATHS

    def __init__(self, layer: layers.BNReLU, momentum: float, rngs: nnx.Rngs):
        self.layer = layer
        self.norm = _norm(layer, momentum, rngs)

    def __call__(self, *inputs: Array, train: bool) -> Array:
        x = _added(inputs, self.layer.outputs)
        return ACTIVATIONS[self.layer.activation](self.norm(x, use_running_average=not train))


class PointwiseConv(Block):
    """1×1 convolution."""

    paths: ClassVar = {"kernel": "conv.kernel"}

    def __init__(self, layer: layers.PointwiseConv, momentum: float, rngs: nnx.Rngs):
        self.layer = layer
        self.conv = _conv(layer.inputs, layer.outputs, 1, 1, rngs)

    def __call__(self, *inputs: Array, train: bool) -> Array:
        return self.conv(_added(inputs, self.layer.inputs))


class ConvActivation(Block):
    """Convolution with a bias, nonlinearity."""

    paths: ClassVar = {"kernel": "conv.kernel", "bias": "conv.bias"}

    def __init__(self, layer: layers.ConvActivation, momentum: float, rngs: nnx.Rngs):
        self.layer = layer
        self.conv = _conv(layer.inputs, layer.outputs, layer.size, 1, rngs, bias=True)

    def __call__(self, *inputs: Array, train: bool) -> Array:
        return ACTIVATIONS[self.layer.activation](self.conv(_added(inputs, self.layer.inputs)))


class SqueezeExcite(Block):
    """Channels times gates that two affine maps make of their means."""

    paths: ClassVar = {
        "reduce": "reduce.kernel",
        "reduce_bias": "reduce.bias",
        "expand": "expand.kernel",
        "expand_bias": "expand.bias",
    }

    def __init__(self, layer: layers.SqueezeExcite, momentum: float, rngs: nnx.Rngs):
        self.layer = layer
        self.reduce = _linear(layer.channels, layer.squeeze, rngs)
        self.expand = _linear(layer.squeeze, layer.channels, rngs)

    def __call__(self, *inputs: Array, train: bool) -> Array:
        x = _added(inputs, self.layer.channels)
        gates = self.expand(nnx.relu(self.reduce(x.mean((1, 2), keepdims=True))))
        return x * GATES[self.layer.gate](gates)


class Dense(Block):
    """Affine map, of images flattened, and a nonlinearity if the layer has one."""

    paths: ClassVar = {"kernel": "linear.kernel", "bias": "linear.bias"}

    def __init__(self, layer: layers.Dense, momentum: float, rngs: nnx.Rngs):
        self.layer = layer
        self.linear = _linear(layer.inputs, layer.outputs, rngs)

    def __call__(self, *inputs: Array, train: bool) -> Array:
        return self.linear(inputs[0].reshape(len(inputs[0]), -1))


class DenseActivation(Dense):
    """Affine map, then a nonlinearity."""

    layer: layers.DenseActivation

    def __call__(self, *inputs: Array, train: bool) -> Array:
        return ACTIVATIONS[self.layer.activation](super().__call__(*inputs, train=train))


class OwnCode(Block):
    """A layer that Flax has no module for, such as one of your own: as it computes itself."""

    def __init__(self, layer: Layer, momentum: float, rngs: nnx.Rngs):
        self.layer = layer
        self.momentum = momentum
        self.params = nnx.Dict({n: nnx.Param(_blank(s)) for n, s in layer.parameters().items()})
        self.stats = nnx.Dict(
            {n: nnx.BatchStat(jnp.asarray(a)) for n, a in layer.statistics().items()}
        )

    def __call__(self, *inputs: Array, train: bool) -> Array:
        params: Arrays = {name: variable[...] for name, variable in self.params.items()}
        stats: Arrays = {name: variable[...] for name, variable in self.stats.items()}
        if not train:
            return self.layer.infer(params, stats, *inputs)
        output, seen = self.layer.train(params, *inputs)
        for name, batch in seen.items():
            moved = self.momentum * stats[name] + (1 - self.momentum) * batch
            self.stats[name][...] = jax.lax.stop_gradient(moved)
        return output

    def variable(self, name: str) -> nnx.Variable[Array]:
        return (self.params if name in self.params else self.stats)[name]


# By exact class: a subclass may compute something else.
BLOCKS: dict[type[Layer], type[Block]] = {
    layers.ConvActivation: ConvActivation,
    layers.ConvBN: ConvBN,
    layers.ProjectAdd: ProjectAdd,
    layers.DepthwiseBN: DepthwiseBN,
    layers.DepthwiseConv: DepthwiseConv,
    layers.BNReLU: BNReLU,
    layers.PlainBN: BNReLU,
    layers.PointwiseConv: PointwiseConv,
    layers.SqueezeExcite: SqueezeExcite,
    layers.Dense: Dense,
    layers.DenseActivation: DenseActivation,
}
"""The module of a layer that learns."""


def _concatenated(layer: layers.Concatenate, *inputs: Array) -> Array:
    parts = [x[..., :c] for x, c in zip(inputs, layer.channels, strict=True)]
    return jnp.pad(jnp.concatenate(parts, -1), [(0, 0), (0, 0), (0, 0), (0, layer.padding)])


FRAME: Any = ((1, 1), (1, 1))  # Flax's signatures say str, and its text pairs too
"""Of a 3×3 pool; of odd images SAME would frame a strided one unevenly."""


def _averaged(layer: layers.AveragePool3x3, *inputs: Array) -> Array:
    x, stride = _added(inputs, layer.channels), (layer.stride, layer.stride)
    return nnx.avg_pool(x, (3, 3), stride, padding=FRAME, count_include_pad=False)


FUNCTIONS: dict[type[Layer], Callable[..., Array]] = {
    layers.Add: lambda layer, *inputs: _added(inputs, layer.channels),
    layers.Concatenate: _concatenated,
    layers.Zero: lambda layer, x: jnp.zeros((*x.shape[:-1], layer.channels), x.dtype),
    layers.MaxPool3x3: lambda layer, *inputs: nnx.max_pool(
        _added(inputs, layer.channels), (3, 3), (layer.stride, layer.stride), padding=FRAME
    ),
    layers.AveragePool3x3: _averaged,
    layers.Halve: lambda layer, x: nnx.max_pool(x, (2, 2), (2, 2)),
    layers.HalveByMean: lambda layer, x: nnx.avg_pool(x, (2, 2), (2, 2)),
    layers.Flatten: lambda layer, x: x[..., : layer.channels].reshape(len(x), -1),
    layers.OddPixels: lambda layer, x: x[:, 1::2, 1::2],
    layers.GlobalAverage: lambda layer, x: x.mean((1, 2)),
}
"""What a layer that learns nothing computes."""
