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
    value = builder.add(ConvBN(3, image_shape[2], width), builder.image)
    for stack in range(stacks):
        outputs = width * 2**stack
        if stack:
            value = builder.add(Halve(), value)
        for _ in range(cells):
            value = _add_cell(builder, cell, value, channels, outputs)
            channels = outputs
    value = builder.add(GlobalAverage(), value)
    builder.add(Dense(channels, classes), value)
    return builder.graph()


def _add_cell(builder: Builder, cell: Cell, x: int, inputs: int, outputs: int) -> int:
    """Appends one cell that reads value ``x``; returns the value it makes."""
    channels = vertex_channels(cell, inputs, outputs)
    last = cell.num_vertices - 1
    made: dict[int, int] = {}
    for vertex in range(1, last):
        c = channels[vertex]
        before = cell.predecessors(vertex)
        fan_in = [made[u] for u in before if u]
        while len(fan_in) > 1:  # Sums of two serve every operation: the fewest programs.
            fan_in = [builder.add(Add(c), *fan_in[:2]), *fan_in[2:]]
        if 0 in before:
            fan_in = [builder.add(ProjectAdd(inputs=inputs, outputs=c), x, *fan_in)]
        match cell.ops[vertex]:
            case op if op == CONV3X3:
                layer = ConvBN(3, c, c)
            case op if op == CONV1X1:
                layer = ConvBN(1, c, c)
            case op if op == MAXPOOL3X3:
                layer = MaxPool3x3(c)
            case op:
                raise AssertionError(f"a Cell holds no operation {op!r}")
        made[vertex] = builder.add(layer, *fan_in)

    before = cell.predecessors(last)
    parts = [u for u in before if u]
    if len(parts) > 1:
        split = tuple(channels[u] for u in parts)
        joined = [builder.add(Concatenate(split), *(made[u] for u in parts))]
    else:
        joined = [made[u] for u in parts]
    if 0 in before:
        return builder.add(ProjectAdd(inputs=inputs, outputs=outputs), x, *joined)
    return joined[0]
