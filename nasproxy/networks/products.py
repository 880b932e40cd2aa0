"""Operations of a traced function, counted as the papers count a network's."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn


def product_flops(function: Callable[..., Any], *arguments: Any) -> int:
    """Two for each multiply-add of the convolutions and matrix products that a function makes.

    Products of activations with each other, as in attention, count as well. A loop's body counts
    once for every turn where their number is known (``scan``), and once where it is not.

    Args:
        function: of arrays.
        *arguments: arrays or ``jax.ShapeDtypeStruct``, not computed with.
    """
    return sum(_of(jax.make_jaxpr(function)(*arguments).jaxpr))


def _of(jaxpr: Jaxpr) -> Iterator[int]:
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name == "dot_general":
            yield _product(equation)
        elif name == "conv_general_dilated":
            yield _convolution(equation)
        turns = equation.params["length"] if name == "scan" else 1
        inside = [sum(_of(inner)) for inner in _inner(equation)]
        # Of branches one is run: the dearest, for none to be cheaper than it can be.
        yield turns * (max(inside, default=0) if name == "cond" else sum(inside))


def _inner(equation: JaxprEqn) -> Iterator[Jaxpr]:
    for value in equation.params.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            if isinstance(one, ClosedJaxpr):
                yield one.jaxpr
            elif isinstance(one, Jaxpr):
                yield one


def _product(equation: JaxprEqn) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left: Any = equation.invars[0].aval
    made: Any = equation.outvars[0].aval
    return 2 * math.prod(made.shape) * math.prod(left.shape[i] for i in contracted)


def _convolution(equation: JaxprEqn) -> int:
    kernel: Any = equation.invars[1].aval
    made: Any = equation.outvars[0].aval
    outputs = kernel.shape[equation.params["dimension_numbers"].rhs_spec[0]]
    return 2 * math.prod(made.shape) * math.prod(kernel.shape) // outputs
