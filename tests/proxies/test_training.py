"""Training follows the recipe, learns, repeats itself, compiles nothing, and says when it fails."""

import logging
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array

from nasproxy import Training, score
from nasproxy.data import Dataset, from_arrays, load
from nasproxy.errors import SettingError
from nasproxy.networks import execution
from nasproxy.networks.differentiation import value_and_grad
from nasproxy.networks.execution import Variables
from nasproxy.networks.graph import Builder, Graph
from nasproxy.networks.layers import Concatenate, ConvBN, Dense, GlobalAverage, Halve
from nasproxy.settings import describe, make, parse_settings
from nasproxy.store import Store
from nasproxy.training import DivergedError, Recipe, Trainer, accuracy, augment, batches, fit
from search_spaces import NASBench101
from search_spaces.nasbench101.cell import CONV3X3, Cell

SMALL: Any = NASBench101(width=8, stacks=1, cells=2)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def odd_graph() -> Graph:
    """Channels that are no multiples of 8, one input truncated."""
    builder = Builder((8, 8, 3))
    x = builder.add(ConvBN(3, 3, 6), builder.image)
    y = builder.add(ConvBN(1, 5, 5), x)
    x = builder.add(Halve(), builder.add(Concatenate((6, 5)), x, y))
    x = builder.add(ConvBN(3, 11, 10), x)
    builder.add(Dense(10, 4), builder.add(GlobalAverage(), x))
    return builder.graph()


def cropped(graph: Graph, params: Variables) -> Variables:
    """Padded parameters without what padding added, which must be zero."""
    own = []
    for step, arrays in zip(graph.steps, params, strict=True):
        shapes = step.layer.parameters()
        kept = {k: np.asarray(a)[tuple(map(slice, shapes[k]))] for k, a in arrays.items()}
        for name, array in arrays.items():
            assert np.abs(array).sum() == pytest.approx(np.abs(kept[name]).sum(), rel=1e-5)
        own.append(kept)
    return own


def plain_steps(
    trainer: Trainer, params: Variables, examples: list[Any]
) -> tuple[Variables, list[Variables]]:
    """optax on all parameters of the unpadded network at once, weight decay in the loss."""
    graph, recipe = trainer.graph, trainer.recipe
    schedule = optax.cosine_decay_schedule(recipe.learning_rate, trainer.steps)
    optimiser = optax.rmsprop(schedule, 0.9, 1.0, initial_scale=1.0, momentum=0.9)

    def loss(params: Variables, images: Array, labels: Array) -> tuple[Array, Variables]:
        values, stats = [images], []
        for step, given in zip(graph.steps, params, strict=True):
            output, seen = step.layer.train(given, *(values[i] for i in step.inputs))
            values.append(output)
            stats.append(seen)
        chosen = jax.nn.log_softmax(values[-1])[jnp.arange(len(labels)), labels]
        squares = sum(jnp.sum(a**2) for arrays in params for a in arrays.values())
        return recipe.weight_decay / 2 * squares - chosen.mean(), stats

    @jax.jit
    def step(params: Variables, state: Any, images: Array, labels: Array) -> Any:
        grads, stats = jax.grad(loss, has_aux=True)(params, images, labels)
        updates, state = optimiser.update(grads, state, params)
        return optax.apply_updates(params, updates), state, stats

    state, seen = optimiser.init(params), []
    for images, labels in examples:
        params, state, stats = step(params, state, images, labels)
        seen.append(stats)
    return params, seen


@pytest.mark.usefixtures("lenient")
def test_equals_optax_on_the_whole(tiny_data: Dataset) -> None:
    """Schedule, weight decay, RMSProp and moving statistics, over a whole short budget."""
    recipe = Recipe(batch=16, weight_decay=0.05, momentum=0.6)
    trainer = Trainer(odd_graph(), recipe, epochs=1, images=96)
    assert trainer.padded != trainer.graph
    examples = [jax.device_put(b) for b in batches(tiny_data, trainer, np.random.default_rng(0))]
    assert len(examples) == trainer.steps == 6

    state = trainer.init(np.random.default_rng(5))
    start = jax.device_put(cropped(trainer.graph, state.params))
    for images, labels in examples:
        state, _ = trainer.step(state, images, labels)
    expected, seen = plain_steps(trainer, start, examples)

    found = cropped(trainer.graph, state.params)
    assert not np.allclose(found[0]["kernel"], start[0]["kernel"], atol=1e-2)
    for got, want in zip(found, expected, strict=True):
        for name in want:
            np.testing.assert_allclose(got[name], want[name], rtol=1e-3, atol=2e-4)
    weights = 0.6 ** np.arange(5, -1, -1.0)
    mean = sum(w * np.asarray(s[0]["mean"]) for w, s in zip(weights, seen, strict=True))
    moving = np.asarray(state.stats[0]["mean"])[:6]
    np.testing.assert_allclose(moving, mean / weights.sum(), rtol=1e-3, atol=1e-4)


def test_padding_would_not_train_alike_without_its_mask() -> None:
    """Rows of kernels beyond a layer's own channels do get gradients, which a step must drop."""
    trainer = Trainer(odd_graph(), Recipe(batch=4), epochs=1, images=4)
    state = trainer.init(np.random.default_rng(5))
    images = jax.device_put(np.random.default_rng(1).normal(size=(4, 8, 8, 3)).astype(np.float32))
    grads = value_and_grad(trainer.padded, state.params, images, jnp.arange(4)).grads
    assert np.abs(grads[1]["kernel"][:, :, 5:]).max() > 0
    moved, _ = trainer.step(state, images, jnp.arange(4))
    assert np.abs(moved.params[1]["kernel"][:, :, 5:]).max() == 0


def test_learns(digits: Dataset) -> None:
    cell = Cell.create([[0, 1, 1], [0, 0, 1], [0, 0, 0]], ["input", CONV3X3, "output"])
    graph = SMALL.graph(cell, digits.image_shape, digits.classes)
    trainer = Trainer(graph, Recipe(batch=32), 3, len(digits.train_labels))
    examples = list(batches(digits, trainer, np.random.default_rng(0)))
    state = trainer.init(np.random.default_rng(0))
    losses = []
    for images, labels in examples:
        state, info = trainer.step(state, *jax.device_put((images, labels)))
        losses.append(float(info.loss))
    assert losses[0] == pytest.approx(math.log(10), abs=1)
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    images = jax.device_put(digits.standardise(digits.valid_images))
    assert accuracy(trainer.predict(state, [images]), digits.valid_labels) > 0.4


def test_an_epoch_shows_every_image_once(tiny_data: Dataset) -> None:
    """Also where batches do not divide it: the last batch then begins the next epoch."""
    numbered = from_arrays(
        np.arange(10, dtype=np.float32).reshape(10, 1, 1, 1) * np.ones((1, 8, 8, 1), np.float32),
        np.arange(10) % 2,
        tiny_data.valid_images[:4][..., :1],
        np.arange(4) % 2,
        name="numbered",
    )
    trainer = Trainer(odd_graph(), Recipe(batch=4), epochs=2, images=10)
    drawn = list(batches(numbered, trainer, np.random.default_rng(0)))
    images = np.concatenate([x for x, _ in drawn])[:, 0, 0, 0] * numbered.std + numbered.mean
    assert len(images) == 20
    assert sorted(images[:10].round().astype(int)) == list(range(10))
    assert sorted(images[10:].round().astype(int)) == list(range(10))
    assert list(images[:10]) != list(images[10:])
    assert [trainer.epoch(s) for s in range(6)] == [0, 0, 0, 1, 1, 2]


def test_augmentation_shifts_and_flips() -> None:
    """Every image is one of the 3·3·2 crops of its framed self, and all of them occur."""
    image = np.arange(1, 129, dtype=np.uint8).reshape(8, 8, 2)
    framed = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    crops = [framed[i : i + 8, j : j + 8] for i in range(3) for j in range(3)]
    allowed = {c.tobytes() for crop in crops for c in (crop, crop[:, ::-1])}
    found = augment(np.stack([image] * 500), np.random.default_rng(0))
    assert found.dtype == np.uint8
    assert {f.tobytes() for f in found} == allowed


def test_colour_images_are_augmented_and_grey_ones_are_not(
    tiny_data: Dataset, digits: Dataset
) -> None:
    for data, expected in ((tiny_data, True), (digits, False)):
        known = {x.tobytes() for x in data.standardise(data.train_images)}
        for setting in (None, True, False):
            trainer = Trainer(
                odd_graph(), Recipe(batch=32, augment=setting), 1, len(data.train_labels)
            )
            images, _ = next(batches(data, trainer, np.random.default_rng(0)))
            changed = any(x.tobytes() not in known for x in images)
            assert changed == (expected if setting is None else setting)


def test_same_seed_same_score(tiny_data: Dataset) -> None:
    cell = SMALL.sample(1, seed=2)[0]
    proxy = Training(epochs=2, batch=32)
    once, again = (proxy.prepare(SMALL, tiny_data, seed=3)(cell) for _ in range(2))
    other = proxy.prepare(SMALL, tiny_data, seed=4)(cell)
    assert once == again
    assert other.columns["train_loss"] != once.columns["train_loss"]


def test_budgets_and_trials(tiny_data: Dataset) -> None:
    """A budget's score is the same alone and among others; the value is the trials' mean."""
    cell = SMALL.sample(1, seed=2)[0]
    several = Training(epochs=(1, 3), batch=32, trials=2).prepare(SMALL, tiny_data, 0)(cell)
    assert several.columns.keys() == {"epochs=1", "epochs=1,train_loss", "train_loss"}
    trials = several.info["trials"]["epochs=3"]
    assert several.value == pytest.approx(np.mean([t["valid_accuracy"] for t in trials]))
    assert trials[0] != trials[1]
    alone = Training(epochs=1, batch=32, trials=2).prepare(SMALL, tiny_data, 0)(cell)
    assert several.columns["epochs=1"] == alone.value
    forward = SMALL.graph(cell, (8, 8, 3), 4).flops
    assert alone.flops == 2 * forward * (3 * 96 + 64)
    assert several.flops == 2 * forward * (3 * 96 + 64) + 2 * forward * (9 * 96 + 64)


def test_split_accuracies(digits: Dataset) -> None:
    """Batches filled up with zeros do not count, and validation and test are not mixed."""
    cell = SMALL.sample(1, seed=4)[0]
    proxy = Training(epochs=1, batch=64)
    found = proxy.prepare(SMALL, digits, 0)(cell)
    graph = SMALL.graph(cell, digits.image_shape, digits.classes)
    trainer = Trainer(graph, Recipe(batch=64), 1, len(digits.train_labels))
    weights, order = map(np.random.default_rng, np.random.SeedSequence((0, 0)).spawn(2))
    state, _ = fit(trainer, batches(digits, trainer, order), weights)
    assert digits.test_images is not None
    assert digits.test_labels is not None
    for images, labels, value in (
        (digits.valid_images, digits.valid_labels, found.value),
        (digits.test_images, digits.test_labels, found.columns["test_accuracy"]),
    ):
        logits = execution.logits(
            trainer.padded, state.params, state.stats, jax.device_put(digits.standardise(images))
        )
        assert value == pytest.approx(np.mean(np.asarray(logits).argmax(1) == labels))


def test_a_new_cell_of_known_layers_compiles_nothing(
    tiny_data: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    scorer = Training(epochs=1, batch=32).prepare(SMALL, tiny_data, 0)
    known: set[object] = set()
    for cell in SMALL.sample(50, seed=1):
        graph = execution.pad(SMALL.graph(cell, (8, 8, 3), 4))
        programs = {(s.layer, tuple(graph.shapes[i] for i in s.inputs)) for s in graph.steps}
        if known and programs <= known:
            break
        scorer(cell)
        known |= programs
    else:
        pytest.fail("no cell of the sample is made of the layers of those before it")
    assert compiled(lambda: scorer(cell), caplog) == 0
    other = Training(epochs=1, batch=31).prepare(SMALL, tiny_data, 0)
    assert compiled(lambda: other(cell), caplog) >= 2 * len(programs)


def compiled(run: Callable[[], object], caplog: pytest.LogCaptureFixture) -> int:
    """How many programs JAX compiles, or reads from disk, for a call."""
    caplog.clear()
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        run()
    return sum(r.getMessage().startswith("Compiling ") for r in caplog.records)


def test_divergence_is_reported_and_stored(tiny_data: Dataset) -> None:
    cell = SMALL.sample(1, seed=2)[0]
    proxy = Training(epochs=2, batch=32, learning_rate=1e30)
    with pytest.raises(DivergedError, match=r"epoch [12], step [2-6] of 6; try a learning_rate"):
        proxy.prepare(SMALL, tiny_data, 0)(cell)
    with Store(None) as store:
        table = score([cell], SMALL, proxy, tiny_data, store=store, progress=False)
    assert table["training"].isna().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs=0 .* at least 1"),
        ({"epochs": (4, 0.5)}, r"epochs=\(4, 0.5\)"),
        ({"epochs": ()}, r"epochs=\(\)"),
        ({"trials": 0}, "trials=0"),
        ({"batch": 1}, "batch=1 .* at least 2"),
        ({"learning_rate": 0}, "learning_rate=0 .* above 0"),
        ({"learning_rate": math.nan}, "learning_rate=nan"),
        ({"weight_decay": -1e-4}, "weight_decay=-0.0001"),
        ({"momentum": 1.0}, "momentum=1.0"),
        ({"augment": 2}, "augment=2"),
        ({"until": 0}, "until=0 .* above 0 and at most 1"),
        ({"width": 0}, "width=0 of training"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Training(**settings)


def test_a_batch_larger_than_the_data(tiny_data: Dataset) -> None:
    with pytest.raises(SettingError, match=r"batch=256 .* 96 training images: .* at most 96"):
        Training().prepare(SMALL, tiny_data, 0)


def test_settings_as_text() -> None:
    proxy = Training(epochs=(4, 12), augment=False, learning_rate=0.05)
    name, settings = parse_settings(describe(proxy, proxy.name, full=True))
    assert name == "training"
    assert make(Training, name, settings) == proxy
