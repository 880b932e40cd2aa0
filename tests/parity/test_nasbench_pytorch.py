"""With the same weights, NAS-Bench-101 networks compute what nasbench_pytorch's do."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest

from nasproxy.networks import execution
from nasproxy.networks.execution import Variables
from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import ConvBN
from nasproxy.networks.module import Network
from search_spaces import NASBench101
from search_spaces.nasbench101 import Cell
from search_spaces.nasbench101.cell import CONV1X1, CONV3X3, INPUT, MAXPOOL3X3, OUTPUT
from tests.support.networks import close, module_of

torch = pytest.importorskip("torch", reason="parity needs the extra: pip install nasproxy[parity]")
nasbench_pytorch = pytest.importorskip(
    "nasbench_pytorch.model", reason="parity needs the extra: pip install nasproxy[parity]"
)

IMAGES = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype(np.float32)


def cell(edges: str, *ops: str) -> Cell:
    """A cell of edges written as in the papers: ``01 12 02``."""
    matrix = np.zeros((len(ops) + 2, len(ops) + 2), int)
    for edge in edges.split():
        matrix[int(edge[0]), int(edge[1])] = 1
    return Cell.create(matrix, [INPUT, *ops, OUTPUT])


C3, C1, MP = CONV3X3, CONV1X1, MAXPOOL3X3
CHOSEN = {
    "input to output": cell("01"),
    "one convolution": cell("01 12", C3),
    "output fed by the input": cell("01 12 02", C3),
    "pool, output fed by the input": cell("01 12 02", MP),
    "split in two": cell("01 02 13 23 03", C3, MP),
    "pooling chain": cell("01 12 23 34 45 56", MP, MP, MP, MP, MP),
    "pools and a skip": cell("01 12 23 34 13 24 04", MP, C1, MP),
    "split in three": cell("01 02 03 14 24 34", C3, C1, MP),
    "split in three and projected": cell("01 02 03 14 24 34 04", C3, C1, MP),
    "split in four": cell("01 02 03 04 15 25 35 45 05", C3, C1, MP, C3),
    "uneven channels truncated": cell("01 12 13 14 25 35 45 05", C3, MP, C1, C3),
    "sum of three": cell("01 02 03 14 24 34 45", C1, C3, MP, C3),
    "seven vertices, nine edges": cell("01 04 05 12 23 26 35 45 56", C3, MP, C3, C3, C1),
}
CELLS = CHOSEN | {c.key: c for c in NASBench101().sample(22, seed=7)}
WIDE = ["input to output", "split in three and projected", "seven vertices, nine edges"]


def modules(model: Any) -> Iterator[Any]:
    """Its conv–bn–relu triples in the order of our steps: projection, then operation, by vertex."""
    for layer in model.layers:
        if not hasattr(layer, "vertex_op"):
            yield from triples(layer)
            continue
        for vertex in range(1, layer.num_vertices):
            yield from triples(layer.input_op[vertex])
            if vertex < layer.num_vertices - 1:
                yield from triples(layer.vertex_op[vertex])


def triples(module: Any) -> Iterator[Any]:
    for child in module.modules():
        if hasattr(child, "conv_bn_relu"):
            yield child.conv_bn_relu


def twins(architecture: Cell, space: NASBench101) -> tuple[Graph, Variables, Variables, Any]:
    """Our graph with variables far from initial ones, and their model that holds the same."""
    graph = space.graph(architecture, (8, 8, 3), 10)
    rng = np.random.default_rng(1)
    params = execution.initialise(graph, rng)
    stats = []
    for step, given in zip(graph.steps, params, strict=True):
        for name, array in step.layer.constants().items():
            centre = 1.0 if name == "scale" else 0.0
            given[name] = rng.normal(centre, 0.3, array.shape).astype(np.float32)
        moved = {k: rng.uniform(0.2, 0.8, a.shape) for k, a in step.layer.statistics().items()}
        stats.append({k: a.astype(np.float32) for k, a in moved.items()})

    model = their_network(architecture, space)
    weighted = [i for i, step in enumerate(graph.steps) if isinstance(step.layer, ConvBN)]
    with torch.no_grad():
        for i, (conv, norm, _) in zip(weighted, modules(model), strict=True):
            copy(conv.weight, params[i]["kernel"].transpose(3, 2, 0, 1))
            copy(norm.weight, params[i]["scale"])
            copy(norm.bias, params[i]["bias"])
            copy(norm.running_mean, stats[i]["mean"])
            copy(norm.running_var, stats[i]["variance"])
            norm.momentum = 0.25  # torch's weighs the new; the package passes .997, or torch's .1
        copy(model.classifier.weight, params[-1]["kernel"].T)
        copy(model.classifier.bias, params[-1]["bias"])
    return graph, params, stats, model


def their_network(architecture: Cell, space: NASBench101) -> Any:
    matrix, ops = np.array(architecture.adjacency), list(architecture.ops)
    return nasbench_pytorch.Network(
        (matrix, ops),
        stem_out_channels=space.width,
        num_stacks=space.stacks,
        num_modules_per_stack=space.cells,
    )


def copy(tensor: Any, array: np.ndarray) -> None:
    assert tuple(tensor.shape) == array.shape
    tensor.copy_(torch.from_numpy(np.ascontiguousarray(array)))


def theirs(model: Any, train: bool) -> tuple[np.ndarray, np.ndarray]:
    """Features and logits; training mode moves the model's statistics."""
    model.train(train)
    kept: list[Any] = []
    hook = model.classifier.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    with torch.no_grad():
        logits = model(torch.from_numpy(IMAGES.transpose(0, 3, 1, 2).copy()))
    hook.remove()
    return kept[0].numpy(), logits.numpy()


def compare(architecture: Cell, space: NASBench101) -> None:
    graph, params, stats, model = twins(architecture, space)
    features, logits = theirs(model, train=False)
    assert features.std() > 1e-3, "the features vanish: nothing would be compared"
    images = jax.device_put(IMAGES)
    padded = execution.pad(graph)
    placed = execution.place(padded, params)
    grown = [
        {name: np.pad(s[name], (0, len(to) - len(s[name]))) for name, to in like.items()}
        for s, like in zip(stats, execution.initial_statistics(padded), strict=True)
    ]
    module = module_of(graph, params, stats, momentum=0.75)
    close(execution.features(graph, params, stats, images), features, 2e-5)
    close(execution.features(padded, placed, grown, images)[:, : graph.features], features, 2e-5)
    close(execution.logits(padded, placed, grown, images), logits, 2e-5)
    close(module.features(images), features, 2e-5)
    close(module(images), logits, 2e-5)

    # Normalising by 16 values (4 images of 2×2 pixels) magnifies both sides' rounding.
    features, logits = theirs(model, train=True)
    trained = execution.train(padded, placed, images)[0][:, : graph.features]
    close(trained, features, 2e-3)
    close(module(images, train=True), logits, 2e-3)
    compare_statistics(graph, module, stats, model)


def compare_statistics(graph: Graph, module: Network, stats: Variables, model: Any) -> None:
    """Torch moves by the batch's unbiased variance; TensorFlow, Flax and we by the biased."""
    weighted = [i for i, step in enumerate(graph.steps) if isinstance(step.layer, ConvBN)]
    _, moved = module.variables()
    for i, (_, norm, _) in zip(weighted, modules(model), strict=True):
        pixels = len(IMAGES) * np.prod(graph.shapes[i + 1][:2])
        unbiased = norm.running_var.numpy() - 0.75 * stats[i]["variance"]
        variance = 0.75 * stats[i]["variance"] + unbiased * (pixels - 1) / pixels
        ours = moved[i]
        close(ours["mean"], norm.running_mean.numpy(), 2e-3)
        close(ours["variance"], variance, 2e-3)


def test_the_cells_are_varied() -> None:
    assert len({c.key for c in CELLS.values()}) >= 30
    assert {c.num_vertices for c in CELLS.values()} == {2, 3, 4, 5, 6, 7}
    assert max(c.num_edges for c in CELLS.values()) == 9


@pytest.mark.parametrize("name", CELLS)
def test_equals_nasbench_pytorch(name: str) -> None:
    """With one cell a stack, every program that nine cells have."""
    compare(CELLS[name], NASBench101(width=16, cells=1))


@pytest.mark.slow
@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("width", [16, 128])
def test_whole_networks_equal_nasbench_pytorch(name: str, width: int) -> None:
    compare(CELLS[name], NASBench101(width=width))


@pytest.mark.parametrize("width", [16, 128])
def test_parameters_equal_torch(width: int) -> None:
    """Counted over its layers: its placeholders hold a parameter each that nothing uses."""
    kinds = (torch.nn.Conv2d, torch.nn.BatchNorm2d, torch.nn.Linear)
    space = NASBench101(width=width, cells=2)
    for architecture in list(CELLS.values())[:16]:
        model = their_network(architecture, space)
        layers = [m for m in model.modules() if isinstance(m, kinds)]
        expected = sum(p.numel() for m in layers for p in m.parameters())
        assert space.graph(architecture, (32, 32, 3), 10).parameters == expected
