"""Anybody's Flax module as a graph, so that whatever runs our networks runs it, too.

The module is one layer, which makes its features and its logits beside each other; two more take
them apart. So each module compiles programs of its own, where a search space's share theirs, and
what looks into layers finds none inside.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx
from jax import Array
from jaxtyping import Float

from nasproxy.errors import ArchitectureError, NasproxyError, SettingError
from nasproxy.networks.graph import Builder, Graph
from nasproxy.networks.layers import Arrays, Draw, Layer, Shape
from nasproxy.networks.products import product_flops

MODES: dict[str, Callable[[bool], bool]] = {
    "train": lambda train: train,
    "training": lambda train: train,
    "is_training": lambda train: train,
    "use_running_average": lambda train: not train,
    "deterministic": lambda train: True,
}
"""Arguments by which a module is told how to run; dropout is off unless ``train`` turns it on."""


class Weights(NamedTuple):
    """Arrays of a module by their paths: what is learnt, and batch norm's statistics."""

    params: Arrays
    stats: Arrays


class Pure(NamedTuple):
    """A module as functions of arrays.

    Attributes:
        draw: weights of a seed; of a module that has its own, these, whatever the seed.
        apply: from parameters, statistics, images, whether batches are normalised by themselves,
            and the method, None for the call, to what it returns and the statistics after it.
        signature: of a method, likewise; None if there is no such method.
    """

    draw: Callable[[int], Weights]
    apply: Callable[[Arrays, Arrays, Array, dict[str, bool], bool, str | None], tuple[Any, Arrays]]
    method: Callable[[str | None], Any]


def graph_of(
    make: Callable[[nnx.Rngs], Any],
    image_shape: Shape,
    classes: int,
    features: str | None,
    name: str,
) -> Graph:
    """The graph of a module.

    Args:
        make: from random streams to an ``nnx.Module`` or a Linen module.
        image_shape: (height, width, channels).
        classes: logits that the module has to give.
        features: the module's method that gives penultimate features ``[n, …]``; where it has none
            of that name, the graph has no features, and says so when they are asked for.
        name: of the module, for messages.

    Raises:
        SettingError: what is made is no module, is not of float32, or gives no logits
            ``[n, classes]``.
        ArchitectureError: it does not take the images.
    """
    module = make(nnx.Rngs(0))
    if isinstance(module, nnx.Module):
        pure = _of_nnx(make, module)
    elif isinstance(module, linen.Module):
        pure = _of_linen(module, image_shape)
    else:
        raise SettingError(
            f"{name} is of type {type(module).__name__}: give a flax.nnx.Module or a "
            "flax.linen.Module"
        )
    layer = Module(pure, features if features and pure.method(features) else None, name)
    width = layer.check(image_shape, classes)
    builder = Builder(image_shape)
    both = builder.add(layer, builder.image, name="module")
    absent = "" if layer.features else _absent(name, features)
    # The logits depend on the features in name, or they would be a step that need not be run.
    part = builder.add(Part(0, width, absent), both, name="features")
    builder.add(Part(width, width + classes), part, both, name="logits")
    return builder.graph()


@dataclass(frozen=True, eq=False)
class Module(Layer):
    """A module's features, flattened, and its logits: ``[n, d + classes]``.

    Attributes:
        pure: the module.
        features: its method that gives them; None for none.
        name: for messages.
    """

    pure: Pure
    features: str | None
    name: str

    @cached_property
    def fresh(self) -> Weights:
        """Weights of the first seed, for their shapes and for statistics at the start."""
        drawn = self.pure.draw(0)
        for path, array in (drawn.params | drawn.stats).items():
            if array.dtype != np.float32:
                raise SettingError(
                    f"{path} of {self.name} is {array.dtype}: give a module of float32"
                )
        if not drawn.params:
            raise SettingError(f"{self.name} has no parameters: give a module that has")
        return drawn

    def parameters(self) -> dict[str, Shape]:
        return {path: array.shape or (1,) for path, array in self.fresh.params.items()}

    def initialise(self, draw: Draw) -> Arrays:
        drawn = self.pure.draw(draw.seed()).params
        return {path: array.reshape(array.shape or (1,)) for path, array in drawn.items()}

    def statistics(self) -> Arrays:
        return self.fresh.stats

    def shape(self, *inputs: Shape) -> Shape:
        return (sum(self._sizes(inputs[0])),)

    def flops(self, *inputs: Shape) -> int:
        params, stats, image = self._abstract(inputs[0], 1)
        return product_flops(
            lambda p, s, x: self._call(p, s, x, False, None)[0], params, stats, image
        )

    def infer(
        self, params: Arrays, stats: Arrays, *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n ..."]:
        return self._both(params, self._complete(stats), inputs[0], train=False)[0]

    def train(
        self, params: Arrays, *inputs: Float[Array, "n ..."]
    ) -> tuple[Float[Array, "n ..."], Arrays]:
        if not self.fresh.stats:
            return self._both(params, {}, inputs[0], train=True)[0], {}
        # From old to new statistics a batch is a map m·old + (1 − m)·batch, each layer's m its own:
        # where it takes 0 and 1 tells what the batch's are. (Flax stops its derivative.)
        output, _ = self._both(params, self._complete({}), inputs[0], train=True)
        of_zeros, of_ones = (
            self._call(
                params,
                {path: jnp.full(a.shape, old, jnp.float32) for path, a in self.fresh.stats.items()},
                inputs[0],
                True,
                None,
            )[1]
            for old in (0, 1)
        )
        seen = {p: of_zeros[p] / (1 - (of_ones[p] - of_zeros[p])) for p in of_zeros}
        return output, seen

    def check(self, image_shape: Shape, classes: int) -> int:
        """d, the number of features, 0 where there are none.

        Raises:
            ArchitectureError: the module does not take images of that shape.
            SettingError: it gives something else than logits of so many classes.
        """
        width, outputs = self._sizes(image_shape)
        if outputs != classes:
            raise SettingError(
                f"{self.name} gives {outputs} outputs an image, and the data have {classes} "
                f"classes: give a module of {classes}"
            )
        return width

    def _sizes(self, image_shape: Shape) -> tuple[int, int]:
        """Numbers of features and of logits."""
        width = self._size(image_shape, self.features, "features [n, …]") if self.features else 0
        return width, self._size(image_shape, None, "logits [n, classes]")

    def _size(self, image_shape: Shape, method: str | None, wanted: str) -> int:
        def called(params: Arrays, stats: Arrays, images: Array) -> Any:
            return self._call(params, stats, images, False, method)[0]

        try:
            made = jax.eval_shape(called, *self._abstract(image_shape, 2))
        except NasproxyError:
            raise
        except Exception as error:
            raise ArchitectureError(
                f"{self.name} does not take images {'×'.join(map(str, image_shape))}: "
                f"{type(error).__name__}: {error}"
            ) from error
        shape, dtype = tuple(getattr(made, "shape", ())), getattr(made, "dtype", None)
        if shape[:1] != (2,) or len(shape) < 2 or (method is None and len(shape) > 2):
            given = list(shape) if shape else type(made).__name__
            raise SettingError(f"{self.name} made {given} of two images: give {wanted}")
        if dtype != np.float32:
            raise SettingError(f"{self.name} made {dtype}: give {wanted} of float32")
        return math.prod(shape[1:])

    def _abstract(self, image_shape: Shape, n: int) -> tuple[Any, Any, Any]:
        """Shapes of parameters, statistics and so many images."""

        def like(shape: Shape) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(shape, np.float32)

        params = {path: like(shape) for path, shape in self.parameters().items()}
        stats = {path: like(array.shape) for path, array in self.fresh.stats.items()}
        return params, stats, like((n, *image_shape))

    def _complete(self, stats: Arrays) -> Arrays:
        return {path: jnp.asarray(array) for path, array in self.fresh.stats.items()} | stats

    def _both(
        self, params: Arrays, stats: Arrays, images: Array, *, train: bool
    ) -> tuple[Array, Arrays]:
        logits, moved = self._call(params, stats, images, train, None)
        if self.features is None:
            return logits, moved
        features, _ = self._call(params, stats, images, train, self.features)
        return jnp.concatenate([features.reshape(len(images), -1), logits], axis=1), moved

    def _call(
        self, params: Arrays, stats: Arrays, images: Array, train: bool, method: str | None
    ) -> tuple[Any, Arrays]:
        own = {path: array.reshape(self.fresh.params[path].shape) for path, array in params.items()}
        known = inspect.signature(self.pure.method(method)).parameters
        modes = {name: of(train) for name, of in MODES.items() if name in known}
        # Flax's own layers mix ranks and dtypes where ours may not.
        with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
            return self.pure.apply(own, stats, images, modes, train, method)


@dataclass(frozen=True)
class Part(Layer):
    """Some columns of the last input.

    Attributes:
        start, stop: which.
        absent: why there are none; empty if there are.
    """

    start: int
    stop: int
    absent: str = ""

    def shape(self, *inputs: Shape) -> Shape:
        return (self.stop - self.start,)

    def infer(
        self, params: Arrays, stats: Arrays, *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n ..."]:
        return inputs[-1][:, self.start : self.stop]


def _absent(name: str, features: str | None) -> str:
    lacking = f"{name} has no method {features!r}" if features else f"{name} was given no features"
    return f"{lacking}: name the one that returns the penultimate features [n, d] by features="


def _of_nnx(make: Callable[[nnx.Rngs], Any], module: nnx.Module) -> Pure:
    definition, params, stats, rest = nnx.split(module, nnx.Param, nnx.BatchStat, ...)
    kind = type(module)

    def draw(seed: int) -> Weights:
        _, params, stats, _ = nnx.split(make(nnx.Rngs(seed)), nnx.Param, nnx.BatchStat, ...)
        return Weights(_by_path(params), _by_path(stats))

    def apply(
        own: Arrays,
        seen: Arrays,
        images: Array,
        modes: dict[str, bool],
        train: bool,
        method: str | None,
    ) -> tuple[Any, Arrays]:
        states = (_filled(params, own), _filled(stats, seen), rest)
        copy: Any = nnx.merge(definition, *states, copy=True)
        copy.set_attributes(
            deterministic=True, use_running_average=not train, raise_if_not_found=False
        )
        made = (copy if method is None else getattr(copy, method))(images, **modes)
        return made, _by_path(nnx.state(copy, nnx.BatchStat), host=False)

    return Pure(draw, apply, lambda method: getattr(kind, method or "__call__", None))


def _of_linen(module: linen.Module, image_shape: Shape) -> Pure:
    known = inspect.signature(type(module).__call__).parameters
    modes: Any = {name: of(False) for name, of in MODES.items() if name in known}

    def variables(seed: int) -> dict[str, Any]:
        with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
            image = jnp.zeros((1, *image_shape), jnp.float32)
            made = dict(module.init(jax.random.key(seed), image, **modes))
        if other := sorted(set(made) - {"params", "batch_stats"}):
            raise SettingError(
                f"{type(module).__name__} has variables in {', '.join(other)}: give a module whose "
                "state is params and batch_stats"
            )
        return made

    shapes = variables(0)

    def draw(seed: int) -> Weights:
        made = variables(seed)
        return Weights(_by_path(made.get("params", {})), _by_path(made.get("batch_stats", {})))

    def apply(
        own: Arrays,
        seen: Arrays,
        images: Array,
        modes: dict[str, bool],
        train: bool,
        method: str | None,
    ) -> tuple[Any, Arrays]:
        given = {
            "params": _filled(shapes.get("params", {}), own),
            "batch_stats": _filled(shapes.get("batch_stats", {}), seen),
        }
        made, moved = module.apply(
            given,
            images,
            **modes,
            method=method,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(0)},
        )
        return made, _by_path(moved.get("batch_stats", {}), host=False)

    return Pure(draw, apply, lambda method: getattr(type(module), method or "__call__", None))


def _by_path(tree: Any, host: bool = True) -> Arrays:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {_path(path): np.asarray(leaf) if host else leaf for path, leaf in leaves}


def _filled(tree: Any, arrays: Arrays) -> Any:
    return jax.tree_util.tree_map_with_path(lambda path, _: arrays[_path(path)], tree)


def _path(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value")
