"""That the suite checks shapes at all: a wrong one is an error where it is handed over."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Float, TypeCheckError, jaxtyped

from tests.support.shapes import check


@jaxtyped(typechecker=check)
def product(a: Float[np.ndarray, "n k"], b: "Float[np.ndarray, 'k m']", note: int = 0) -> object:
    return a @ b


def test_shapes_and_dtypes_are_checked_and_nothing_else() -> None:
    product(np.ones((2, 3)), np.ones((3, 4)), note="a text")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(TypeCheckError):
        product(np.ones((2, 3)), np.ones((4, 3)))
    with pytest.raises(TypeCheckError):
        product(np.ones((2, 3), int), np.ones((3, 4)))


def test_jax_converts_nothing_in_silence() -> None:
    with pytest.raises(Exception, match="promotion"):
        jnp.add(jnp.ones(2, jnp.float32), jnp.ones(2, jnp.int32))
    with pytest.raises(ValueError, match="rank"):
        jax.jit(lambda x: x + jnp.ones(2))(jnp.ones((3, 2)))
