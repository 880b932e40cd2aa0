"""Validation accuracy after shortened training: the usual proxy; of long budgets, the truth."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from nasproxy.checks import Optional, Real, Several, Whole, check
from nasproxy.data import Dataset
from nasproxy.data.dataset import Subset
from nasproxy.networks import features
from nasproxy.networks.features import Batches
from nasproxy.networks.graph import Graph
from nasproxy.proxies.base import Card, Score, Scorer, on_width
from nasproxy.space import SearchSpace
from nasproxy.training import RULES, Recipe, Trainer, accuracy, batches, fit

EVALUATED = 512
"""Images that accuracy is measured on at once."""


@dataclass(frozen=True)
class Training:
    """Mean validation accuracy, over trials, of networks trained for a few epochs.

    Several budgets may be asked for at once (``epochs=(4, 12)``). Each is a training of its own, as
    in NAS-Bench-101: the learning rate falls to zero over that budget, so a short training is no
    part of a longer one. The value is that of the longest; the others have columns of their own, as
    has the test accuracy where the data has a test split. All architectures see the same batches.

    Attributes:
        epochs: passes over the training split, NAS-Bench-101's shortest budget by default.
        width: channels of the stem; None for the space's.
        batch: images a step.
        learning_rate: at the first step, see :class:`~nasproxy.training.Recipe` for all of these.
        weight_decay: of all parameters.
        momentum: of batch norm's moving statistics.
        augment: whether images are shifted and flipped; None for colour images only.
        trials: trainings a budget, each from other weights and in another order.
        until: training accuracy of an epoch at which a training ends before its budget does, see
            :func:`~nasproxy.training.fit`; the learning rate falls as over the whole budget.
    """

    epochs: int | tuple[int, ...] = 4
    width: int | None = None
    batch: int = 256
    learning_rate: float = 0.2
    weight_decay: float = 1e-4
    momentum: float = 0.9
    augment: bool | None = None
    trials: int = 1
    until: float | None = None

    name: ClassVar[str] = "training"
    card: ClassVar[Card] = Card(
        "variance 1/fan-in",
        "all for training, labels",
        "training",
        "epochs · images · 3 F",
        "Ying et al. 2019",
    )
    lower: ClassVar[tuple[str, ...]] = ("train_loss",)
    """Columns that are better the lower they are."""
    undirected: ClassVar[tuple[str, ...]] = ("epochs_made",)
    """Columns that are neither good nor bad."""

    def __post_init__(self) -> None:
        check(
            self.name,
            self,
            epochs=Several(Whole(), "4/12/36"),
            width=Optional(Whole()),
            trials=Whole(),
            until=Optional(Real(above=0, most=1, hint="such as 0.8")),
            **RULES,
        )

    def _budgets(self) -> tuple[int, ...]:
        return self.epochs if isinstance(self.epochs, tuple) else (self.epochs,)

    def _recipe(self) -> Recipe:
        return Recipe(
            self.batch, self.learning_rate, self.weight_decay, self.momentum, self.augment
        )

    def prepare(self, space: SearchSpace, data: Dataset, seed: int) -> Scorer:
        space = on_width(self, space)[1]
        recipe, n_train = self._recipe(), len(data.train_labels)
        budgets = sorted(set(self._budgets()))
        recipe.check(n_train)
        evaluated = _Evaluated(data)

        def score(architecture: object) -> Score:
            graph = space.graph(architecture, data.image_shape, data.classes)
            runs: dict[str, list[dict[str, float]]] = {}
            for epochs in budgets:
                trainer = Trainer(graph, recipe, epochs, n_train)
                runs[f"epochs={epochs}"] = [
                    _run(trainer, data, evaluated, (seed, trial), self.until)
                    for trial in range(self.trials)
                ]
            operations = sum(
                flops(graph, data, run.get("epochs_made", epochs))
                for epochs, trials in zip(budgets, runs.values(), strict=True)
                for run in trials
            )
            return _score(runs, f"epochs={budgets[-1]}", operations)

        return score


class _Evaluated:
    """Validation and test split in batches of one shape, made anew where they are many to hold."""

    def __init__(self, data: Dataset):
        self.valid_labels, self.test_labels = data.valid_labels, data.test_labels
        parts = [(data.valid_images, np.arange(len(data.valid_labels)))]
        if data.test_images is not None and data.test_labels is not None:
            parts.append((data.test_images, np.arange(len(data.test_labels))))
        images = Subset(data, tuple(parts))
        size = -(-len(images) // -(-len(images) // EVALUATED))
        made = Batches(images, size)
        self.batches = made if images.nbytes > features.HELD_BYTES else list(made)

    def accuracies(self, predicted: Int[np.ndarray, " n"]) -> dict[str, float]:
        """By split, of predictions for the images of ``batches``."""
        shares = {"valid_accuracy": accuracy(predicted, self.valid_labels)}
        if self.test_labels is not None:
            predicted = predicted[len(self.valid_labels) :]
            shares["test_accuracy"] = accuracy(predicted, self.test_labels)
        return shares


def _run(
    trainer: Trainer,
    data: Dataset,
    evaluated: _Evaluated,
    seed: tuple[int, int],
    until: float | None,
) -> dict[str, float]:
    weights, order = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2))
    state, loss = fit(trainer, batches(data, trainer, order), weights, until)
    predicted = trainer.predict(state, evaluated.batches)
    found = evaluated.accuracies(predicted) | {"train_loss": loss}
    if until is not None:
        found["epochs_made"] = state.step * trainer.recipe.batch / trainer.images
    return found


def _score(runs: dict[str, list[dict[str, float]]], longest: str, operations: float) -> Score:
    columns: dict[str, float] = {}
    for budget, trials in runs.items():
        means = {name: float(np.mean([trial[name] for trial in trials])) for name in trials[0]}
        own = {budget: means.pop("valid_accuracy")}
        columns |= own | {f"{budget},{name}": mean for name, mean in means.items()}
    value = columns.pop(longest)
    # The value's own companions go by their bare names.
    columns = {name.removeprefix(f"{longest},"): mean for name, mean in columns.items()}
    return Score(value, operations, columns, {"trials": runs})


def flops(graph: Graph, data: Dataset, epochs: float) -> float:
    """Operations of one training and its validation as the paper counts them (equation 5).

    A training step costs three forward passes; the test split is not counted.
    """
    return float(graph.flops * (3 * epochs * len(data.train_labels) + len(data.valid_labels)))
