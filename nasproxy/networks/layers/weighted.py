"""Layers in two halves: a product with a kernel, and what is made of it.

Passes that look inside a layer take the halves apart: a saliency is read off the product, and who
keeps the product need not compute it again for its derivative.
"""

from abc import abstractmethod
from typing import Any, ClassVar

from jax import Array
from jaxtyping import Float

from nasproxy.networks.layers.activations import ACTIVATIONS, RELUS
from nasproxy.networks.layers.base import Arrays, Layer

TRAINING, INFERENCE, BYPASSED = MODES = ("training", "inference", "bypassed")
"""How batch norm runs in a pass of a fresh network: by the batch's statistics; by mean 0 and
variance 1, so that it is the identity but for its ε; not at all, scale and bias included."""


class Weighted(Layer):
    """A layer of one product, ``finish(product(inputs), inputs)``."""

    normalised: ClassVar[bool] = False
    """Whether batch norm follows the product."""

    @abstractmethod
    def product(self, params: Arrays, *inputs: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
        """Of the inputs with the kernel, its bias included where it has one."""

    def finish(
        self,
        params: Arrays,
        product: Float[Array, "n ..."],
        *inputs: Float[Array, "n ..."],
        mode: str,
    ) -> tuple[Float[Array, "n ..."], Arrays]:
        """The layer's output in one of ``MODES``, and the batch's statistics in training mode."""
        return product, {}

    def infer(
        self, params: Arrays, stats: Arrays, *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n ..."]:
        return self.finish(params, self.product(params, *inputs), *inputs, mode=INFERENCE)[0]


class Activated(Weighted):
    """A product, then a nonlinearity; no normalisation.

    Attributes:
        outputs: channels or features made.
        activation: one of ``ACTIVATIONS``.
    """

    outputs: int
    activation: str

    def finish(
        self,
        params: Arrays,
        product: Float[Array, "n ..."],
        *inputs: Float[Array, "n ..."],
        mode: str,
    ) -> tuple[Float[Array, "n ..."], Arrays]:
        return ACTIVATIONS[self.activation](product), {}

    def units(self) -> dict[str, int]:
        return {"after": self.outputs} if self.activation in RELUS else {}

    def before_relus(
        self, params: Arrays, product: Any, *inputs: Float[Array, "n ..."], mode: str
    ) -> dict[str, Float[Array, "n ..."]]:
        return {"after": product} if self.activation in RELUS else {}
