"""CNN-Vec and Myrtle networks: their settings, and their kernels called with images."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from nasproxy.checks import Flag, OneOf, Real, Rule, Whole, check
from nasproxy.errors import DataError, SettingError
from nasproxy.kernels.convolutional.blocks import blocks, engine
from nasproxy.kernels.convolutional.images import Images
from nasproxy.kernels.convolutional.planes import ACTIVATIONS, Stack
from nasproxy.kernels.fully_connected import Kernels
from nasproxy.kernels.memory import check_memory
from nasproxy.settings import UNSAID

MYRTLE = {5: (2, 1, 1), 7: (2, 2, 2), 10: (3, 3, 3)}
"""Convolutions of each stage, by the name's number (Shankar et al. 2020)."""
RULES: dict[str, Rule] = {
    "kind": OneOf("ntk", "nngp", "both"),
    "activation": OneOf(*ACTIVATIONS),
    "weight_variance": Real(above=0, hint="such as 2"),
    "bias_variance": Real(least=0, hint="such as 0.01"),
    "end": OneOf("flatten", "pool"),
    "dtype": OneOf("float32", "float64"),
    "layer_norm": Flag(),
}


class _Convolutional:
    """What both have in common."""

    owner: ClassVar[str]
    kind: str
    dtype: str
    activation: str

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Its fields, as scikit-learn asks for them: a search may be over ``kernel__depth``."""
        return dict(vars(self))

    @property
    def stack(self) -> Stack:
        """The network."""
        raise NotImplementedError

    def prepare(self, x: ArrayLike | Images) -> Images:
        """Images ``[n, h, h, c]``, checked and measured; for data that is met repeatedly.

        Raises:
            DataError: they are no square images whose side the pools halve evenly, something is
                not finite or overflows, or they were made ready for another network.
        """
        if not isinstance(x, Images):
            return Images.of(self.stack, x, engine())
        if x.stack != self.stack:
            raise DataError(
                f"images made ready for {x.stack}, given to {self}: prepare them by this kernel"
            )
        return x

    def __call__(self, x1: ArrayLike | Images, x2: ArrayLike | Images | None = None) -> Any:
        """The block ``[n, m]`` between images ``[n, h, h, c]`` and ``[m, h, h, c]``.

        Without ``x2``, of ``x1`` with itself, which takes half of the work and whose diagonal is
        computed in float64. Of ``kind="both"``, a :class:`~nasproxy.kernels.Kernels` of two.

        Raises:
            DataError: as :meth:`prepare`, or the images' shapes differ.
            SettingError: the block takes more memory than there is.
        """
        a = self.prepare(x1)
        b = None if x2 is None else self.prepare(x2)
        if b is not None and a.values.shape[1:] != b.values.shape[1:]:
            raise DataError(
                f"images of shapes {list(a.values.shape[1:])} and {list(b.values.shape[1:])} have "
                "no kernel between them: give images of one shape"
            )
        own = np.concatenate([a.ntk, a.nngp] if b is None else [a.ntk, a.nngp, b.ntk, b.nngp])
        if self.dtype == "float32" and own.max() > np.finfo(np.float32).max:
            raise SettingError(
                f"dtype='float32' of {self.owner}: the kernel reaches {own.max():.1e}, beyond it; "
                "give float64, or images of smaller pixels"
            )
        columns = len(a if b is None else b)
        check_memory(
            3 * np.dtype(self.dtype).itemsize * len(a) * columns,
            f"the kernel of {len(a):,} by {columns:,} images",
            "fewer images at once",
        )
        found = blocks(a, b, self.kind != "nngp", self.dtype, engine())
        return Kernels(*found) if self.kind == "both" else found[-1]

    def diagonal(self, x: ArrayLike | Images) -> Float64[np.ndarray, " n"]:
        """k(x, x) of each image, ``[n]``.

        Raises:
            SettingError: the kernel is of ``kind="both"``, which has two.
        """
        found = self.prepare(x)
        if self.kind == "both":
            raise SettingError(f"kind='both' of {self.owner} has two diagonals: give ntk or nngp")
        return found.ntk if self.kind == "ntk" else found.nngp


@dataclass(frozen=True)
class CNNVec(_Convolutional):
    """Kernel of ``depth`` 3×3 convolutions, each with a nonlinearity, then a dense readout.

    In the NTK parameterisation, zero padding. Novak et al. 2019: pixels are flattened, so only
    those at one place meet.

    Attributes:
        depth: convolutions, L.
        kind: ``ntk``, ``nngp``, or ``both`` in one pass.
        activation: ``relu``, ``erf``, ``gelu`` or ``exponential``, the normalised one.
        weight_variance: σ_w²; at 2, ReLU keeps variances.
        bias_variance: σ_b².
        end: ``flatten``; or ``pool``, the mean over all pixels before the readout (CNN-GAP).
        dtype: ``float32``, or ``float64``.
        layer_norm: normalise the channels of each convolution, pixel by pixel, before the
            nonlinearity (Ba et al. 2016); of infinitely many channels, division by √variance.
    """

    depth: int = 8
    kind: str = "ntk"
    activation: str = "relu"
    weight_variance: float = 2.0
    bias_variance: float = 0.01
    end: str = "flatten"
    dtype: str = "float32"
    layer_norm: bool = field(default=False, metadata={UNSAID: False})

    owner: ClassVar[str] = "a CNN-Vec kernel"

    def __post_init__(self) -> None:
        check(self.owner, self, depth=Whole(1, 1000, hint="the convolutions"), **RULES)

    @property
    def stack(self) -> Stack:
        """The network."""
        return Stack(
            (self.depth,),
            self.end == "flatten",
            self.activation,
            self.weight_variance,
            self.bias_variance,
            self.layer_norm,
        )


@dataclass(frozen=True)
class Myrtle(_Convolutional):
    """Kernel of Myrtle-5, 7 and 10 (Shankar et al. 2020): 3×3 convolutions in three stages.

    Each convolution has a nonlinearity; between stages 2×2 pixels are averaged, after the last all
    that are left; a dense readout is last. NTK parameterisation, zero padding.

    Attributes:
        layers: 5, 7 or 10.
        kind: ``ntk``, ``nngp``, or ``both`` in one pass.
        activation: ``relu``, ``erf``, ``gelu`` or ``exponential``, the normalised one.
        weight_variance: σ_w²; at 2, ReLU keeps variances.
        bias_variance: σ_b².
        end: ``pool``; or ``flatten``, not the paper's: the last stage's pixels go to the readout
            one by one, so that few offsets are needed, at a fraction of the price.
        dtype: ``float32``, or ``float64``.
        layer_norm: normalise the channels of each convolution, pixel by pixel, before the
            nonlinearity (Ba et al. 2016); of infinitely many channels, division by √variance.
    """

    layers: int = 10
    kind: str = "ntk"
    activation: str = "relu"
    weight_variance: float = 2.0
    bias_variance: float = 0.0
    end: str = "pool"
    dtype: str = "float32"
    layer_norm: bool = field(default=False, metadata={UNSAID: False})

    owner: ClassVar[str] = "a Myrtle kernel"

    def __post_init__(self) -> None:
        check(self.owner, self, layers=Whole(1, hint="5, 7 or 10"), **RULES)
        if self.layers not in MYRTLE:
            raise SettingError(f"layers={self.layers} of {self.owner}: give 5, 7 or 10")

    @property
    def stack(self) -> Stack:
        """The network."""
        return Stack(
            MYRTLE[self.layers],
            self.end == "flatten",
            self.activation,
            self.weight_variance,
            self.bias_variance,
            self.layer_norm,
        )
