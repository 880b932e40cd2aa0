"""Networks in lanes beside float64's."""

from typing import Any

import numpy as np

from nasproxy.networks.graph import Builder, Graph
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.lanes import engine
from nasproxy.networks.lanes.plan import knows
from nasproxy.networks.layers import Dense, GlobalAverage
from tests.support import reference
from tests.support.networks import close, far_variables, some


def check_on(builder: Builder, x: int, seed: int) -> None:
    """Features and statistics of what a builder has, the mean of ``x`` appended."""
    mean = builder.add(GlobalAverage(), x)
    builder.add(Dense(1, 2), mean)
    graph = builder.graph()
    assert knows(graph)
    params, stats = far_variables(graph, seed)
    network = Initialised(graph, params, stats)
    images = some(np.random.default_rng(seed), 19, *graph.image_shape)
    builder_free = graph.steps[:-1]  # The reference's readout would need a kernel of its own shape.
    expected, trained = (
        last_of(builder_free, graph, params, given, images) for given in (stats, None)
    )
    close(engine.features(network, [images], None, 1.0), expected, 5e-6)
    close(engine.trained(network, [images]), trained, 5e-5)


def last_of(steps: Any, graph: Graph, params: Any, stats: Any, images: np.ndarray) -> np.ndarray:
    values = [images.astype(np.float64)]
    for i, step in enumerate(steps):
        given = None if stats is None else stats[i]
        inputs = [values[j] for j in step.inputs]
        values.append(reference.apply(step.layer, params[i], given, inputs)[0])
    return values[-1]
