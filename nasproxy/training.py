"""Training by NAS-Bench-101's recipe (Ying et al. 2019, section 2.5), layer by layer.

Gradients come from :mod:`nasproxy.networks.differentiation` and optax updates one layer at a time,
so a new architecture compiles nothing that its layers have not compiled before. An iteration is
:meth:`Trainer.init` and :meth:`Trainer.step`; the loop is the caller's, :func:`fit` being one.

Where this follows the benchmark's published code rather than its paper: weight decay counts every
trainable parameter, batch norm's included; TensorFlow's RMSProp starts its mean square at 1; images
are framed in black before they are standardised; an epoch's last images are completed to a batch by
the next epoch's first. Where it does not: the benchmark's first step has rate 0, and its moving
statistics start at mean 0 and variance 1 (see :class:`Recipe`).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float, Float32, Int, Int32, Shaped

from nasproxy.checks import Flag, Optional, Real, Rule, Whole, check
from nasproxy.data.dataset import Dataset, Labels
from nasproxy.errors import DivergedError, SettingError
from nasproxy.networks import execution
from nasproxy.networks.differentiation import value_and_grad
from nasproxy.networks.execution import Variables
from nasproxy.networks.graph import Graph
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.layers import Arrays, Shape

DECAY, MOMENTUM, EPSILON = 0.9, 0.9, 1.0
"""RMSProp's, as in NAS-Bench-101; ε stands beside the mean square under the root."""

RULES: dict[str, Rule] = {
    "batch": Whole(2, hint="batch norm needs a variance"),
    "learning_rate": Real(above=0, hint="the benchmark's is 0.2"),
    "weight_decay": Real(least=0, hint="the benchmark's is 1e-4"),
    "momentum": Real(least=0, below=1, hint="such as 0.9; it is batch norm's"),
    "augment": Optional(Flag()),
}
"""Of a :class:`Recipe`'s fields."""

Batch: TypeAlias = tuple[Float32[np.ndarray, "n h w c"], Int32[np.ndarray, " n"]]
"""Standardised images and labels."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; the defaults are NAS-Bench-101's, but for ``momentum``.

    The moving statistics of batch norm are bias-corrected as Adam's moments are: after t steps
    they weigh the batches' statistics by momentumᵗ⁻ˢ (s = 1..t) and nothing else. The benchmark's
    .997 averages over the last 333 steps, two of its epochs; a budget of a few hundred steps in all
    would mix in the statistics of weights long gone, hence .9.

    Attributes:
        batch: images a step.
        learning_rate: at the first step; it falls to 0 along a cosine.
        weight_decay: w in the loss's w/2·‖θ‖², over all parameters.
        momentum: of batch norm's moving statistics, in [0, 1).
        augment: whether images are shifted by up to an eighth of their side (4 of CIFAR's 32
            pixels) and flipped left to right, at random; None for colour images only, since what
            grey data sets show, digits above all, has a left and a right.
    """

    batch: int = 256
    learning_rate: float = 0.2
    weight_decay: float = 1e-4
    momentum: float = 0.9
    augment: bool | None = None

    def __post_init__(self) -> None:
        check("training", self, **RULES)

    def check(self, images: int) -> None:
        """Raises SettingError if a batch takes more images than there are to train on."""
        if self.batch > images:
            raise SettingError(
                f"batch={self.batch} of training, but the data has {images} training images: "
                f"give a batch of at most {images}"
            )


class State(NamedTuple):
    """A network in training; every entry but ``step`` has an item for each step of the graph.

    Attributes:
        params: parameters.
        stats: moving statistics of batch norm.
        optimiser: optax's states.
        step: steps made.
    """

    params: Variables
    stats: Variables
    optimiser: list[Any]
    step: int


class Info(NamedTuple):
    """What one step saw, before it changed anything: scalars on the device.

    Attributes:
        loss: mean cross-entropy of the batch, without weight decay.
        correct: images classified rightly in training mode.
    """

    loss: Float[Array, ""]
    correct: Int[Array, ""]


@dataclass(frozen=True, eq=False)
class Trainer:
    """One network's training; arithmetic runs on the padded graph of :func:`execution.pad`.

    Padding leaves the training as it is: what it adds computes zeros and is kept at zero (rows of
    kernels that would read an input's channels beyond those of the layer get no gradient).

    Attributes:
        graph: the network, not padded.
        recipe: how it is trained.
        epochs: the budget, over which the learning rate falls to 0.
        images: in an epoch.
    """

    graph: Graph
    recipe: Recipe
    epochs: int
    images: int

    @property
    def steps(self) -> int:
        """Of the whole budget."""
        return self.epochs * self.images // self.recipe.batch

    @cached_property
    def padded(self) -> Graph:
        """The graph that ``State`` belongs to."""
        return execution.pad(self.graph)

    @cached_property
    def _own_rows(self) -> list[Arrays]:
        """For each kernel 1 in the rows of the unpadded layer, 0 below; ``[…, inputs, 1]``."""
        rows: list[Arrays] = []
        for true, padded in zip(self.graph.steps, self.padded.steps, strict=True):
            grown = padded.layer.parameters()
            own = {name: s for name, s in true.layer.parameters().items() if len(s) > 1}
            rows.append({name: _own(s, grown[name]) for name, s in own.items()})
        return rows

    def init(self, rng: np.random.Generator) -> State:
        """A fresh network."""
        params = Initialised.draw(self.graph, rng).params
        stats = jax.device_put(execution.initial_statistics(self.padded))
        return State(params, stats, [_init(p) if p else None for p in params], 0)

    def step(
        self, state: State, images: Float[Array, "n h w c"], labels: Int[Array, " n"]
    ) -> tuple[State, Info]:
        """Moves all parameters by one batch."""
        loss, correct, grads, batch_stats = value_and_grad(
            self.padded, state.params, images, labels
        )
        scalars = jax.device_put((self.learning_rate(state.step), self._share(state.step)))
        params, stats, optimiser = list(state.params), list(state.stats), list(state.optimiser)
        for i, rows in enumerate(self._own_rows):
            if params[i]:
                params[i], stats[i], optimiser[i] = _update(
                    self.recipe.weight_decay,
                    (params[i], stats[i], optimiser[i]),
                    (grads[i], batch_stats[i]),
                    rows,
                    *scalars,
                )
        return State(params, stats, optimiser, state.step + 1), Info(loss, correct)

    def epoch(self, step: int) -> int:
        """The epoch that a step is in; both are counted from 0."""
        return step * self.recipe.batch // self.images

    def learning_rate(self, step: int) -> np.float32:
        """The rate of a step, counted from 0: half a cosine, 0 after the last."""
        # optax.cosine_decay_schedule computes it in float32 on the device: 56 µs instead of 0.4,
        # and another number at 357 of 626 steps.
        cosine = math.cos(math.pi * min(step / self.steps, 1))
        return np.float32(self.recipe.learning_rate * 0.5 * (1 + cosine))

    def _share(self, step: int) -> np.float32:
        """Weight of a step's statistics in the moving ones: 1 at first, 1 − momentum in the end."""
        return np.float32((1 - self.recipe.momentum) / (1 - self.recipe.momentum ** (step + 1)))

    def predict(
        self, state: State, batches: Sequence[Float[Array, "b h w c"]]
    ) -> Int[np.ndarray, " n"]:
        """Classes in inference mode; n counts the images that fill up the last batch.

        Raises:
            DivergedError: a logit is not finite, so that it names no class.
        """
        made = [execution.logits(self.padded, state.params, state.stats, x) for x in batches]
        logits = np.concatenate([np.asarray(array) for array in made])
        if not np.isfinite(logits).all():
            raise DivergedError(
                f"training diverged: after {state.step} steps logits are not finite in inference "
                f"mode; try a learning_rate below {self.recipe.learning_rate:g}"
            )
        return logits.argmax(-1)


def fit(
    trainer: Trainer,
    examples: Iterable[Batch],
    rng: np.random.Generator,
    until: float | None = None,
) -> tuple[State, float]:
    """Trains for as many steps as there are batches, or until an epoch reaches an accuracy.

    The loss is read once an epoch, so that the device does not wait for the host.

    Args:
        trainer: of the network.
        examples: batches.
        rng: of the weights.
        until: share of an epoch's images that is classified rightly in training mode, each before
            its batch's step, at which training ends.

    Returns:
        The last state, and the mean loss of the last epoch.

    Raises:
        DivergedError: the loss is not finite.
    """
    state = trainer.init(rng)
    seen: list[Info] = []
    mean = math.nan
    for images, labels in examples:
        state, info = trainer.step(state, *jax.device_put((images, labels)))
        seen.append(info)
        if trainer.epoch(state.step) > trainer.epoch(state.step - 1) or state.step == trainer.steps:
            mean = _finite_mean([info.loss for info in seen], state.step, trainer)
            correct = sum(jax.device_get([info.correct for info in seen]))
            if until is not None and correct >= until * len(seen) * trainer.recipe.batch:
                break
            seen = []
    return state, mean


def _finite_mean(scalars: list[Float[Array, ""]], step: int, trainer: Trainer) -> float:
    losses = np.array(jax.device_get(scalars))
    bad = np.flatnonzero(~np.isfinite(losses))
    if bad.size:
        first = step - len(losses) + int(bad[0])
        raise DivergedError(
            f"training diverged: the loss is {losses[bad[0]]} in epoch {trainer.epoch(first) + 1}, "
            f"step {first + 1} of {trainer.steps}; try a learning_rate below "
            f"{trainer.recipe.learning_rate:g}"
        )
    return float(losses.mean())


def batches(data: Dataset, trainer: Trainer, rng: np.random.Generator) -> Iterator[Batch]:
    """Batches of the training split, each image once an epoch, in an order drawn every epoch."""
    size, colour = trainer.recipe.batch, data.image_shape[2] == 3
    augmented = colour if trainer.recipe.augment is None else trainer.recipe.augment
    order = np.empty(0, np.intp)
    for _ in range(trainer.steps):
        if len(order) < size:
            order = np.concatenate([order, rng.permutation(len(data.train_labels))])
        chosen, order = order[:size], order[size:]
        images = data.train_images[chosen]
        if augmented:
            images = augment(images, rng)
        yield data.standardise(images), data.train_labels[chosen]


def augment(
    images: Shaped[np.ndarray, "n h w c"], rng: np.random.Generator
) -> Shaped[np.ndarray, "n h w c"]:
    """Each image cropped at random out of itself framed in black, and flipped half of the time.

    The frame takes an eighth of the side, 4 pixels of CIFAR's 32. Raw images in, raw images out.
    """
    n, height, width, _ = images.shape
    down, across = height // 8, width // 8
    framed = np.pad(images, ((0, 0), (down, down), (across, across), (0, 0)))
    rows = rng.integers(2 * down + 1, size=(n, 1)) + np.arange(height)
    columns = rng.integers(2 * across + 1, size=(n, 1)) + np.arange(width)
    columns = np.where(rng.random((n, 1)) < 0.5, columns[:, ::-1], columns)
    return framed[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def accuracy(predicted: Int[np.ndarray, " m"], labels: Labels) -> float:
    """Share of labels ``[n]`` that the first n predictions meet."""
    return float((predicted[: len(labels)] == labels).mean())


def _optimiser(rate: Array | float, weight_decay: float) -> optax.GradientTransformation:
    return optax.chain(
        optax.add_decayed_weights(weight_decay),
        optax.rmsprop(rate, DECAY, EPSILON, initial_scale=1.0, momentum=MOMENTUM),
    )


@jax.jit
def _init(params: Arrays) -> Any:
    return _optimiser(0.0, 0.0).init(params)  # Neither setting changes the state.


@partial(jax.jit, static_argnums=0)
def _update(
    weight_decay: float,
    layer: tuple[Arrays, Arrays, Any],
    seen: tuple[Arrays, Arrays],
    rows: Arrays,
    rate: Array,
    share: Array,
) -> tuple[Arrays, Arrays, Any]:
    """Parameters, moving statistics and optimiser state of one layer after one batch."""
    (params, stats, state), (grads, batch_stats) = layer, seen
    grads = grads | {name: grads[name] * own for name, own in rows.items()}
    updates, state = _optimiser(rate, weight_decay).update(grads, state, params)
    stats = jax.tree.map(lambda old, new: old + share * (new - old), stats, batch_stats)
    return jax.tree.map(jnp.add, params, updates), stats, state


def _own(own: Shape, grown: Shape) -> Array:
    rows = (np.arange(grown[-2]) < own[-2]).astype(np.float32)
    return jax.device_put(rows.reshape(*(1 for _ in own[2:]), -1, 1))
