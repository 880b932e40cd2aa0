"""Hessian products layer by layer equal those of the network as one function."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nasproxy.networks import passes
from nasproxy.networks.convolution import derivable
from nasproxy.networks.curvature import hessian_product
from nasproxy.networks.graph import Builder
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.layers import (
    Add,
    ConvBN,
    Dense,
    DepthwiseBN,
    GlobalAverage,
    HalveByMean,
    MaxPool3x3,
    PointwiseConv,
    ProjectAdd,
    SqueezeExcite,
)

IMAGES = np.random.default_rng(0).normal(size=(5, 8, 8, 3)).astype(np.float32)
LABELS = np.array([0, 1, 2, 3, 0], np.int32)


def test_equals_forward_over_reverse_of_the_whole() -> None:
    """Along all kernels; and along the last alone, below which nothing moves."""
    builder = Builder((8, 8, 3))
    x = builder.add(ConvBN(3, 3, 8), builder.image)
    halved = builder.add(HalveByMean(), x)
    short = builder.add(PointwiseConv(8, 8), halved)
    y = builder.add(ConvBN(3, 8, 8, stride=2, activation="none", preactivation=True), x)
    y = builder.add(ProjectAdd(1, 8, 8), y, short)
    y = builder.add(DepthwiseBN(3, 8, activation="swish"), y)
    y = builder.add(SqueezeExcite(8, 4), y)
    y = builder.add(Add(8), builder.add(MaxPool3x3(8), y), short)
    builder.add(Dense(8, 4), builder.add(GlobalAverage(), y))
    graph = builder.graph()
    network = Initialised.draw(graph, (0, 0))
    images, labels = jax.device_put((IMAGES, LABELS))
    params = network.weights

    def loss(params: Any) -> Any:
        values = [images]
        for step, own in zip(graph.steps, params, strict=True):
            with derivable():
                values.append(step.layer.train(own, *(values[i] for i in step.inputs))[0])
        return -jax.nn.log_softmax(values[-1])[jnp.arange(5), labels].mean()

    run = passes.forward(network, params, images, "training")
    whole = jax.jit(lambda d: jax.jvp(jax.grad(loss), (params,), (d,))[1])
    last: Any = [{} for _ in params[:-1]] + [params[-1]]
    for direction in (params, last):
        full = [
            {name: given.get(name, jnp.zeros_like(a)) for name, a in own.items()}
            for own, given in zip(params, direction, strict=True)
        ]
        expected = whole(full)
        found = dict(hessian_product(run, labels, direction))
        largest = max(float(abs(a).max()) for own in expected for a in own.values())
        for step, own in enumerate(expected):
            for name, array in own.items():
                np.testing.assert_allclose(found[step][name], array, rtol=1e-3, atol=2e-5 * largest)
