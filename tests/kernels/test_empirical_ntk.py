"""The empirical NTK against Jacobians of whole networks and against neural-tangents."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax

from nasproxy.errors import SettingError
from nasproxy.kernels import empirical_ntk, neural_tangents
from nasproxy.kernels.empirical_ntk import OUTPUTS
from nasproxy.networks import execution, features
from nasproxy.networks.differentiation import pullback_each
from nasproxy.networks.execution import Variables
from nasproxy.networks.features import BatchNorm
from nasproxy.networks.graph import Graph
from nasproxy.networks.initialised import Initialised
from search_spaces import NASBench101, NASBench201
from search_spaces.nasbench101.cell import Cell
from tests.support.networks import jacobian, module_of, moved_statistics, weights

pytestmark = pytest.mark.usefixtures("lenient")

SPACE = NASBench101(width=9, stacks=1, cells=1)
IMAGES = np.random.default_rng(3).normal(size=(7, 8, 8, 3)).astype(np.float32)
NORM_BATCH = np.random.default_rng(4).normal(size=(16, 8, 8, 3)).astype(np.float32)
SEED, N_TRAIN = (5, 1), 4
CELLS = {
    "two vertices": ([], "01"),
    "truncated": ("33", "01 12 13 23"),
    "uneven split": ("313", "01 02 03 14 24 34"),
    "truncated, many readers": ("13p31", "01 02 12 23 14 35 16 36 56"),
    "a sum of three": ("311p", "01 02 03 14 24 34 45 05"),
}
OPS = {"1": "conv1x1-bn-relu", "3": "conv3x3-bn-relu", "p": "maxpool3x3"}


def graph_of(name: str, space: NASBench101 = SPACE) -> Graph:
    ops, edges = CELLS[name]
    matrix = np.zeros((len(ops) + 2, len(ops) + 2), int)
    for edge in edges.split():
        matrix[int(edge[0]), int(edge[1])] = 1
    cell = Cell.create(matrix.tolist(), ["input", *(OPS[op] for op in ops), "output"])
    return space.graph(cell, (8, 8, 3), 3)


def found(
    graph: Graph, output: str = "sum", momentum: float = 0.3, n_train: int = N_TRAIN
) -> np.ndarray:
    """What is tested, for ``IMAGES``."""
    batches = empirical_ntk.split(IMAGES, graph)
    batch, norm = jax.device_put(NORM_BATCH), BatchNorm(momentum, images=16)
    kernel = empirical_ntk.ntk(Initialised.draw(graph, SEED), batches, n_train, batch, norm, output)
    assert kernel.dtype == np.float64
    return kernel[: len(IMAGES)]


def variables(graph: Graph, momentum: float = 0.3) -> tuple[Variables, Variables]:
    """The weights and moved statistics that the same seed names, made independently."""
    drawn = weights(graph, SEED)
    moved = moved_statistics(graph, drawn, NORM_BATCH, momentum)
    params = [c | d for c, d in zip(execution.constants(graph), drawn, strict=True)]
    return params, moved


def jacobian_of(graph: Graph) -> np.ndarray:
    """Of all logits by all parameters, ``[n, classes, P]``, by JAX from the Flax network."""
    return jacobian(module_of(graph, *variables(graph)), IMAGES)


def close(actual: np.ndarray, expected: np.ndarray, tolerance: float = 2e-5) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize(
    ("name", "stacks"),
    [("truncated", 2), ("uneven split", 1), ("truncated, many readers", 1)],
)
def test_equals_the_jacobian_of_the_flax_network(name: str, stacks: int) -> None:
    """All three outputs; widths that no vector divides, so that the padded graph is another."""
    graph = graph_of(name, replace(SPACE, stacks=stacks))
    assert execution.pad(graph) != graph
    by_logit = jacobian_of(graph)
    functions = {
        "sum": by_logit.sum(1, keepdims=True) / 3**0.5,
        "logit": by_logit[:, :1],
        "trace": by_logit / 3**0.5,
    }
    assert functions.keys() == set(OUTPUTS)
    for output, j in functions.items():
        close(found(graph, output), np.einsum("nkp,mkp->nm", j, j[:N_TRAIN]))


def test_steps_that_no_logit_depends_on_add_nothing() -> None:
    """The convolution of this cell leads nowhere; other spaces' layers have gradients of images."""
    cell = "|none~0|+|nor_conv_3x3~0|none~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
    graph = NASBench201(width=3).graph(cell, (8, 8, 3), 3)
    assert not all(graph.live)
    by_logit = jacobian_of(graph).sum(1) / 3**0.5
    close(found(graph, "sum"), by_logit @ by_logit[:N_TRAIN].T)


def test_padding_would_add_to_it() -> None:
    """What the kernel leaves out is not zero: rows that read channels which a layer truncates."""
    graph = graph_of("truncated")
    padded = execution.pad(graph)
    params = execution.place(padded, variables(graph)[0])
    stats = execution.initial_statistics(padded)
    values = execution.values(padded, params, stats, jnp.asarray(IMAGES))
    added = 0.0
    for step, grads in pullback_each(padded, params, stats, values, jnp.ones((7, 3))):
        if "kernel" in grads:
            rows = graph.steps[step].layer.parameters()["kernel"][-2]
            added += float(np.abs(grads["kernel"][..., rows:, :]).sum())
    assert added > 0.1


def plain(params: Any, x: Array) -> Array:
    """The network of "uneven split", without this repository's layers; batch norm is affine."""
    given = iter(params)

    def conv_bn(x: Array) -> Array:
        kernel, scale, bias = next(given)
        y = lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", None, None, ("NHWC", "HWIO", "NHWC")
        )
        return jax.nn.relu(y / (1 + 1e-5) ** 0.5 * scale + bias)

    x = conv_bn(x)
    x = jnp.concatenate([conv_bn(conv_bn(x)) for _ in range(3)], axis=-1).mean((1, 2))
    kernel, bias = next(given)
    return x @ kernel + bias


@pytest.mark.filterwarnings("ignore:size requires ndarray:DeprecationWarning")
@pytest.mark.parametrize("implementation", [1, 2])
def test_equals_neural_tangents(implementation: int) -> None:
    """Trace axis −1 is output ``trace``; all weights of the function, batch norm's included."""
    nt = neural_tangents.load()
    graph = graph_of("uneven split")
    drawn, _ = variables(graph)
    params = [
        tuple(jnp.asarray(arrays[name]) for name in ("kernel", "scale", "bias") if name in arrays)
        for arrays in drawn
        if arrays
    ]
    params = [params[i] for i in plain_order(graph)]
    images = jnp.asarray(IMAGES)
    close(
        np.asarray(plain(params, images)),
        np.asarray(execution.logits(graph, drawn, [{} for _ in drawn], images)),
    )
    ntk_fn = nt.empirical_ntk_fn(
        plain, trace_axes=(-1,), vmap_axes=0, implementation=implementation
    )
    expected = np.asarray(ntk_fn(images, images[:N_TRAIN], params))
    close(found(graph, "trace", momentum=1), expected)


def plain_order(graph: Graph) -> list[int]:
    """Positions, among the layers that learn, in the order in which ``plain`` asks for them."""
    learning = [i for i, step in enumerate(graph.steps) if step.layer.parameters()]
    stem, readout = learning[0], learning[-1]
    first = [i for i in learning if graph.steps[i].inputs == (stem + 1,)]
    order = [stem]
    for branch in first:
        order += [branch, *(i for i in learning if graph.steps[i].inputs == (branch + 1,))]
    return [learning.index(i) for i in [*order, readout]]


@pytest.mark.parametrize("output", ["sum", "trace"])
def test_blocks_do_not_matter(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither batches of three images, nor a buffer that parts layers and goes round often."""
    graph = graph_of("truncated, many readers")
    whole = found(graph, output)
    monkeypatch.setitem(features.ACTIVATION_BYTES, "cpu", 4 * 8 * 8 * 9 * 3)
    assert len(empirical_ntk.split(IMAGES, graph)) > 2
    close(found(graph, output), whole, tolerance=1e-6)
    rounds = []
    monkeypatch.setattr(empirical_ntk, "BUFFER_BYTES", 4 * 8 * 200)
    monkeypatch.setattr(empirical_ntk, "COLUMNS", 64)
    joined = empirical_ntk._joined
    monkeypatch.setattr(empirical_ntk, "_joined", lambda b: rounds.append(joined(b)) or rounds[-1])
    close(found(graph, output), whole, tolerance=1e-6)
    assert len(rounds) > 10
    assert max(part.shape[1] for part in rounds) <= 256


def test_it_is_positive_and_symmetric() -> None:
    kernel = found(graph_of("a sum of three"), n_train=7)
    close(kernel, kernel.T, tolerance=1e-6)
    spectrum = np.linalg.eigvalsh(kernel)
    assert spectrum[0] > -1e-6 * spectrum[-1]
    assert spectrum[-2] > 1e-3 * spectrum[-1]


def test_settings_without_a_kernel_are_refused() -> None:
    graph = graph_of("two vertices")
    with pytest.raises(SettingError, match="choose one of sum, logit, trace"):
        found(graph, "logits")
    norm = BatchNorm(mode="training", images=16)
    images = empirical_ntk.split(IMAGES, graph)
    with pytest.raises(SettingError, match="choose inference"):
        empirical_ntk.ntk(Initialised.draw(graph, SEED), images, 2, jnp.asarray(NORM_BATCH), norm)
