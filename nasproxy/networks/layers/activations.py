"""Nonlinearities by the names that search spaces give them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import erf

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "relu6": lambda x: jnp.clip(x, 0, 6),
    "swish": jax.nn.silu,
    "erf": erf,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "none": lambda x: x,
}
"""All keep 0 at 0, on which padding rests."""

RELUS = ("relu", "relu6")
"""Those whose units are on or off."""
