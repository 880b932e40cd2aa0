"""Analytic NNGP and NTK of fully-connected networks, all depths in one pass.

The network of depth L has L hidden layers and a linear readout: L times (dense, nonlinearity), then
dense, in the NTK parameterisation of ``neural_tangents.stax.Dense``: weights N(0, σ_w²/fan-in),
biases N(0, σ_b²), an input's variance being σ_w²·|x|²/d + σ_b². Recursions as in Jacot et al. 2018
and Lee et al. 2019; the way to depth L passes every smaller depth.

Arithmetic is float32 by default and stays within 1e-5 of exact at depth 200 for ReLU, within 5e-5
for erf, relative to √(k(x, x) k(x', x')), equal and opposite inputs included: see
:mod:`nasproxy.kernels.dual_activations` for how. What depends on one input
alone (variances, the diagonal) is computed in float64. Correlations of inputs closer than an angle
of about .3, or as close to opposite, are computed in float64 from their distance.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from nasproxy.checks import Flag, OneOf, Real, Rule, Whole, check, checked
from nasproxy.errors import DataError, SettingError
from nasproxy.kernels.dual_activations import DUALS
from nasproxy.kernels.inputs import NEAR, Inputs, on_cpu
from nasproxy.kernels.memory import check_memory
from nasproxy.kernels.recursion import Layers
from nasproxy.kernels.tiles import Matrix, Pass

DEEPEST = 100_000
"""Hidden layers that a kernel may have; what layers do is kept for each of them."""
RULES: dict[str, Rule] = {
    "depth": Whole(1, DEEPEST, hint="the hidden layers"),
    "kind": OneOf("ntk", "nngp"),
    "activation": OneOf(*DUALS),
    "weight_variance": Real(above=0, hint="such as 2"),
    "bias_variance": Real(least=0, hint="such as 0.01"),
    "normalise": Flag(),
    "dtype": OneOf(*NEAR),
}


@dataclass(frozen=True)
class FullyConnected:
    """The kernel of fully-connected networks of one depth; called with inputs, it gives a block.

    Attributes:
        depth: hidden layers, L.
        kind: ``ntk`` or ``nngp``.
        activation: ``relu`` or ``erf``.
        weight_variance: σ_w²; at 2, ReLU keeps variances.
        bias_variance: σ_b².
        normalise: divide by √(k(x, x) k(x', x')); the ReLU NTK's diagonal grows with depth.
        dtype: ``float32``, or ``float64`` for solves with tiny regularisers: a float32 matrix of
            n rows has noise of about 1e-7·√n in its eigenvalues, relative to the mean diagonal.
    """

    depth: int = 3
    kind: str = "ntk"
    activation: str = "relu"
    weight_variance: float = 2.0
    bias_variance: float = 0.01
    normalise: bool = False
    dtype: str = "float32"

    def __post_init__(self) -> None:
        check("a fully-connected kernel", self, **RULES)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Its fields, as scikit-learn asks for them: a search may be over ``kernel__depth``."""
        return dict(vars(self))

    def prepare(self, x: ArrayLike | Inputs) -> Inputs:
        """Inputs ``[n, ...]``, flattened, checked and measured; for data that is met repeatedly.

        Raises:
            DataError: something is complex or not finite, or an input is all zeros where there is
                no bias: its angle to others is undefined.
        """
        found = x if isinstance(x, Inputs) else Inputs.of(x)
        zero = np.flatnonzero(found.norms == 0)
        if zero.size and not self.bias_variance:
            raise DataError(
                f"input {zero[0]} is all zeros, so its angle to others is undefined: leave it "
                "out, or give a bias_variance such as 0.01"
            )
        return found

    def __call__(self, x1: ArrayLike | Inputs, x2: ArrayLike | Inputs | None = None) -> Matrix:
        """The block ``[n, m]`` between inputs ``[n, ...]`` and ``[m, ...]``.

        Without ``x2``, of ``x1`` with itself, which takes half of the work.

        Raises:
            DataError: as :meth:`prepare`, or the inputs' sizes differ.
            SettingError: the kernel overflows its dtype, or takes more memory than there is.
        """
        return next(self.grid(x1, x2, (self.depth,)))

    def diagonal(self, x: ArrayLike | Inputs) -> Float[np.ndarray, " n"]:
        """k(x, x) of each input, ``[n]``."""
        x = self.prepare(x)
        if self.normalise:
            return np.ones(len(x))
        layers = self._layers(x.norms, x.size, self.depth)
        layers.check(self.depth)
        return layers.diagonal(self.kind, self.depth)

    def start(self, a: Inputs, b: Inputs | None, deepest: int) -> Pass:
        """A pass of ``a`` and ``b``, or of ``a`` with itself, to any depth up to the deepest.

        Raises:
            SettingError: it would take more memory than there is.
        """
        norms = a.norms if b is None else np.concatenate([a.norms, b.norms])
        columns, itemsize = len(a if b is None else b), np.dtype(self.dtype).itemsize
        check_memory(
            Layers.memory(len(norms), deepest, self.activation)
            + (3 * itemsize * len(a) * columns if on_cpu() else 0),
            f"the kernel of {len(a):,} by {columns:,} inputs at depth {deepest:,}",
            "fewer inputs at once, or a smaller depth",
        )
        return Pass(self._layers(norms, a.size, deepest), a, b, deepest)

    def _layers(self, norms: NDArray[np.float64], size: int, deepest: int) -> Layers:
        return Layers(
            norms,
            size,
            deepest,
            activation=self.activation,
            weight_variance=self.weight_variance,
            bias_variance=self.bias_variance,
            normalise=self.normalise,
            dtype=self.dtype,
        )

    def grid(
        self,
        x1: ArrayLike | Inputs,
        x2: ArrayLike | Inputs | None = None,
        depths: Iterable[int] = (1, 2, 5),
    ) -> Iterator[Matrix]:
        """The blocks of several depths, one after the other in ascending order, in one pass.

        Between blocks it holds two numbers an entry (half of that without ``x2``), whatever the
        number of depths; the field ``depth`` is not used. Arguments as for calling.
        """
        for (block,) in _grid(self, x1, x2, depths, (self.kind,)):
            yield block


class Kernels(NamedTuple):
    """Both kernels of the same networks."""

    nngp: Matrix
    ntk: Matrix


def fully_connected(
    x1: ArrayLike,
    x2: ArrayLike | None = None,
    *,
    depth: int = 3,
    depths: Sequence[int] | NDArray[np.integer] | None = None,
    kernel: str = "ntk",
    **settings: Any,
) -> Any:
    """Kernel matrices of fully-connected networks, of one depth or of several in one pass.

    Args:
        x1: inputs ``[n, ...]``, flattened.
        x2: inputs ``[m, ...]``; None for ``x1``, at half of the cost.
        depth: hidden layers.
        depths: several of them, ascending; ``depth`` is then not used. For many depths of many
            inputs, :meth:`FullyConnected.grid` holds one at a time.
        kernel: ``ntk``, ``nngp`` or ``both``.
        settings: further fields of :class:`FullyConnected`.

    Returns:
        ``[n, m]``, or ``[len(depths), n, m]``; of ``both``, a :class:`Kernels` of two.

    Raises:
        DataError, SettingError: as :class:`FullyConnected`.
    """
    if kernel not in ("ntk", "nngp", "both"):
        raise SettingError(
            f"kernel={kernel!r} of fully-connected networks: choose ntk, nngp or both"
        )
    kinds = ("nngp", "ntk") if kernel == "both" else (kernel,)
    function = FullyConnected(depth=depth, kind=kinds[0], **settings)
    if depths is None:
        (found,) = _grid(function, x1, x2, (depth,), kinds)
    else:
        depths = _check_depths(depths)
        if list(depths) != sorted(set(depths)):
            raise SettingError(f"depths={depths!r}: give each once, ascending, as they come back")
        blocks = list(_grid(function, x1, x2, depths, kinds))
        found = tuple(np.stack([np.asarray(b) for b in kind]) for kind in zip(*blocks, strict=True))
    return Kernels(*found) if kernel == "both" else found[0]


def _grid(
    kernel: FullyConnected,
    x1: ArrayLike | Inputs,
    x2: ArrayLike | Inputs | None,
    depths: Iterable[int],
    kinds: tuple[str, ...],
) -> Iterator[tuple[Matrix, ...]]:
    depths = sorted(set(_check_depths(depths)))
    a = kernel.prepare(x1)
    b = a if x2 is None else kernel.prepare(x2)
    if a.size != b.size:
        raise DataError(
            f"inputs of {a.size} and of {b.size} numbers have no kernel "
            "between them: give inputs of one size"
        )
    work = kernel.start(a, None if x2 is None else b, depths[-1])
    for depth in depths:
        yield tuple(work.blocks(depth, kinds))


def _check_depths(depths: Iterable[int]) -> tuple[int, ...]:
    given = tuple(depths)
    if not given:
        raise SettingError("depths=() of fully-connected kernels: give at least one")
    return tuple(
        checked("a fully-connected kernel", "depth", depth, RULES["depth"]) for depth in given
    )
