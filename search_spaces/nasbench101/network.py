"""The network that a NAS-Bench-101 cell stands for (Ying et al. 2019, section 2)."""

from nasproxy.networks.graph import Builder, Graph
from nasproxy.networks.layers import (
    Add,
    Concatenate,
    ConvBN,
    Dense,
    GlobalAverage,
    Halve,
    MaxPool3x3,
    ProjectAdd,
    Shape,
)
from search_spaces.nasbench101.cell import CONV1X1, CONV3X3, MAXPOOL3X3, Cell, vertex_channels


def build(
    cell: Cell, image_shape: Shape, classes: int, *, width: int, stacks: int, cells: int
) -> Graph:
    """Stem, ``stacks`` stacks of ``cells`` cells with a 2×2 pool between stacks, mean, readout.

    Args:
        cell: what is repeated.
        image_shape: (height, width, channels).
        classes: number of logits.
        width: channels of the stem; every further stack doubles them.
        stacks: number of stacks.
        cells: cells a stack.
    """
    builder = Builder(image_shape)
    channels = width
    value = builder.add(ConvBN(3, image_shape[2], width), builder.image, name="stem")
    for stack in range(stacks):
        outputs = width * 2**stack
        with builder.scope(f"stack{stack + 1}"):
            if stack:
                value = builder.add(Halve(), value, name="halve")
            for number in range(cells):
                with builder.scope(f"cell{number + 1}"):
                    value = _add_cell(builder, cell, value, channels, outputs)
                channels = outputs
    value = builder.add(GlobalAverage(), value, name="mean")
    builder.add(Dense(channels, classes), value, name="readout")
    return builder.graph()


def _add_cell(builder: Builder, cell: Cell, x: int, inputs: int, outputs: int) -> int:
    """Appends one cell that reads value ``x``; returns the value it makes.

    Its input is vertex 0, as in the adjacency matrix; ``project3`` is on the edge from 0 to 3.
    """
    channels = vertex_channels(cell, inputs, outputs)
    last = cell.num_vertices - 1
    made: dict[int, int] = {}
    for vertex in range(1, last):
        c = channels[vertex]
        before = cell.predecessors(vertex)
        fan_in = [made[u] for u in before if u]
        while len(fan_in) > 1:  # Sums of two serve every operation: the fewest programs.
            name = f"add{vertex}_{len(fan_in) - 1}"
            fan_in = [builder.add(Add(c), *fan_in[:2], name=name), *fan_in[2:]]
        if 0 in before:
            projected = ProjectAdd(1, inputs, c)
            fan_in = [builder.add(projected, x, *fan_in, name=f"project{vertex}")]
        match cell.ops[vertex]:
            case op if op == CONV3X3:
                layer = ConvBN(3, c, c)
            case op if op == CONV1X1:
                layer = ConvBN(1, c, c)
            case op if op == MAXPOOL3X3:
                layer = MaxPool3x3(c)
            case op:
                raise AssertionError(f"a Cell holds no operation {op!r}")
        made[vertex] = builder.add(layer, *fan_in, name=f"vertex{vertex}")

    before = cell.predecessors(last)
    parts = [u for u in before if u]
    if len(parts) > 1:
        split = tuple(channels[u] for u in parts)
        concatenated = [made[u] for u in parts]
        joined = [builder.add(Concatenate(split), *concatenated, name="concatenate")]
    else:
        joined = [made[u] for u in parts]
    if 0 in before:
        return builder.add(ProjectAdd(1, inputs, outputs), x, *joined, name=f"project{last}")
    return joined[0]
