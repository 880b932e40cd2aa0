"""Initialisations of other hands: weights drawn as somebody else's code draws them."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float32

from nasproxy.errors import SettingError
from nasproxy.networks.graph import Graph
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.layers import Arrays, Layer, Shape, SqueezeExcite, Weighted

OWN = "own"
INITS = (OWN, "pytorch", "fan_out", "normal")
"""How weights are drawn, batch norm's being 1 and 0 in any case:

``own``: truncated normals of variance 1/fan-in (2/fan-in before a fully-connected ReLU), biases 0;
``pytorch``: PyTorch's default, uniform within ±1/√fan-in, biases too;
``fan_out``: nasbench_pytorch's, normals of variance 2/(k²·outputs), the readout's deviation .01;
``normal``: unit normals, biases 0 (Lin et al. 2021, Zen-NAS).
"""
_STREAM = 0x1217
"""Keeps these draws apart from those of :meth:`Initialised.draw` at the same seed."""


def drawn(graph: Graph, seed: Sequence[int], init: str = OWN) -> Initialised:
    """A fresh network, drawn as one of ``INITS`` has it.

    Args:
        graph: the network.
        seed: numbers, the same of which give the same weights.
        init: how; ``own`` is :meth:`Initialised.draw`.

    Raises:
        SettingError: an initialisation that there is not, or another than ``own`` of a network with
            layers that draw their own weights.
    """
    if init not in INITS:
        raise SettingError(f"init={init!r} of a network: choose {', '.join(INITS)}")
    if init == OWN:
        return Initialised.draw(graph, seed)
    rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence([*seed, _STREAM])))
    given = [_layer(step.layer, rng, _DRAWS[init]) for step in graph.steps]
    return Initialised(graph, given, [{} for _ in graph.steps])


def _layer(layer: Layer, rng: np.random.Generator, draw: "_Draw") -> Arrays:
    shapes = layer.parameters()
    if shapes and not isinstance(layer, Weighted | SqueezeExcite):
        raise SettingError(
            f"{type(layer).__name__} draws its own weights, and no others: leave init at {OWN}"
        )
    given: Arrays = {}
    fan_in = 1
    for name, shape in shapes.items():
        if len(shape) > 1:
            fan_in = math.prod(shape[:-1])
            given[name] = draw(rng, shape, fan_in)
        elif "scale" not in shapes and draw is _pytorch:  # an affine map's bias, after its kernel
            given[name] = draw(rng, shape, fan_in)
    return given


_Draw = Callable[[np.random.Generator, Shape, int], Float32[np.ndarray, "..."]]


def _pytorch(rng: np.random.Generator, shape: Shape, fan_in: int) -> Float32[np.ndarray, "..."]:
    uniform = rng.random(shape, dtype=np.float32)
    return (2 * uniform - 1) * np.float32(fan_in**-0.5)


def _fan_out(rng: np.random.Generator, shape: Shape, fan_in: int) -> Float32[np.ndarray, "..."]:
    affine = len(shape) == 2
    deviation = 0.01 if affine else math.sqrt(2 / (math.prod(shape[:2]) * shape[-1]))
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(deviation)


def _normal(rng: np.random.Generator, shape: Shape, fan_in: int) -> Float32[np.ndarray, "..."]:
    return rng.standard_normal(shape, dtype=np.float32)


_DRAWS: dict[str, _Draw] = {"pytorch": _pytorch, "fan_out": _fan_out, "normal": _normal}
