"""F_train/F, NNGP and shortened training against truth, means and medians (figures S2–S5)."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import Layer, Shape
from nasproxy.reproduce import figures
from nasproxy.reproduce.scores import MEASURES
from nasproxy.reproduce.statistics import correlations
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.nngp_nas.study import Study

CLAIM = (
    "A training step costs three forward passes, to a good approximation for all networks: "
    "F_train/F ≈ 3. Of the raw scores the paper shows scatter, means and medians, and claims "
    "nothing."
)
NEEDS = ("many",)
BATCH = 256
"""Images a step, the benchmark's."""
NEAR = 0.1
"""A ratio is about three if it is so much of it away at most."""
ACCURACY = "NNGP accuracy "


def run(study: Study) -> Finding:
    ratios = pd.DataFrame(
        [_ratios(study.space.graph(c, (32, 32, 3), 10)) for c in study.cells.values()]
    )
    scores = study.scores("many")
    shown = {f"{ACCURACY}{s}": scores.column(s) for s in scores.settings}
    shown[f"NNGP {MEASURES['loo_accuracy']}"] = scores.column(measure="loo_accuracy")
    shown |= {f"{e} epochs": study.shortened[e] for e in study.budgets}
    *values, truth = study.joined(*shown.values())
    found = dict(zip(shown, values, strict=True))
    rows = []
    for name, value in found.items():
        quartiles = np.percentile(value, [25, 50, 75])
        rows.append(
            {
                "score": name,
                "mean": value.mean(),
                "standard error": value.std(ddof=1) / np.sqrt(len(value)),
                "median": quartiles[1],
                "lower quartile": quartiles[0],
                "upper quartile": quartiles[2],
                "distinct values": len(np.unique(value)),
                **correlations(value, truth),
            }
        )
    table = pd.DataFrame(rows)
    return Finding(
        _verdict(ratios, table),
        {"scores": table, "ratios": ratios.describe().rename_axis("of").reset_index()},
        _figure(ratios, found, truth),
        (
            f"All scores are of the same {len(truth):,} cells; leave-one-out at {scores.largest}.",
            f"Both counts are over {len(ratios):,} cells at stem width 128 on 32×32 images. "
            "Products counts two operations for each multiply-add with a weight, forwards, for the "
            "weights' gradient and for the input's (which the stem does not need). XLA counts all "
            f"operations of the compiled-to-be programs, batch norm and ReLU included, in a batch "
            f"of {BATCH}.",
        ),
    )


def _ratios(graph: Graph) -> dict[str, float]:
    forward = train = products = 0.0
    for position, step in enumerate(graph.steps):
        shapes = tuple(graph.shapes[i] for i in step.inputs)
        own = step.layer.flops(*shapes)
        products += own * (2 if step.inputs == (0,) else 3)
        counts = _counted(step.layer, shapes, position > 0)
        forward, train = forward + counts[0], train + counts[1]
    return {"products": products / graph.flops, "XLA": train / forward}


_COUNTED: dict[Any, tuple[float, float]] = {}


def _counted(layer: Layer, shapes: tuple[Shape, ...], to_inputs: bool) -> tuple[float, float]:
    """Operations of one layer in inference, and forwards and backwards in training, by XLA."""
    key = layer, shapes, to_inputs
    if key not in _COUNTED:
        spec = partial(jax.ShapeDtypeStruct, dtype=jnp.float32)
        params = {name: spec(shape) for name, shape in layer.parameters().items()}
        stats = {name: spec(np.shape(s)) for name, s in layer.statistics().items()}
        inputs = [spec((BATCH, *shape)) for shape in shapes]

        def step(params: Any, inputs: Any, cotangent: Any) -> Any:
            if to_inputs:
                output, pull, _ = jax.vjp(
                    lambda p, x: layer.train(p, *x), params, inputs, has_aux=True
                )
            else:
                output, pull, _ = jax.vjp(lambda p: layer.train(p, *inputs), params, has_aux=True)
            return output, pull(cotangent)

        def infer(params: Any, stats: Any, inputs: Any) -> Any:
            return layer.infer(params, stats, *inputs)

        output = jax.eval_shape(infer, params, stats, inputs)
        _COUNTED[key] = (
            _flops(jax.jit(infer).lower(params, stats, inputs)),
            _flops(jax.jit(step).lower(params, inputs, output)),
        )
    return _COUNTED[key]


def _flops(lowered: Any) -> float:
    return float((lowered.cost_analysis() or {}).get("flops", 0.0))


def _verdict(ratios: pd.DataFrame, table: pd.DataFrame) -> str:
    near = (np.abs(ratios / 3 - 1) <= NEAR).mean()
    shown = [
        f"{column.median():.3f} (from {column.min():.3f} to {column.max():.3f}, within "
        f"{NEAR:.0%} of 3 for {near[name]:.1%} of cells) counting "
        f"{'products with weights' if name == 'products' else 'all operations as XLA does'}"
        for name, column in ratios.items()
    ]
    holds = "holds" if near.min() == 1 else "holds nearly" if near.min() > 0.95 else "does not hold"
    nngp = table[table["score"].str.startswith(ACCURACY)]["mean"]
    training = table[table["score"].str.endswith("epochs")]
    means = ", ".join(f"{r['mean']:.3f} after {r['score']}" for _, r in training.iterrows())
    return (
        f"The claim {holds}: the median F_train/F is {' and '.join(shown)}; on the same cells NNGP "
        f"accuracy averages {nngp.min():.3f} to {nngp.max():.3f} by setting, training {means}."
    )


def _figure(ratios: pd.DataFrame, found: dict[str, np.ndarray], truth: np.ndarray) -> Figure:
    figure, axes = figures.panels(2, 2)
    for colour, (name, column) in zip(figures.COLOURS, ratios.items(), strict=False):
        axes[0].hist(column, bins=40, color=colour, alpha=0.7, label=str(name))
    figures.label(axes[0], "F_train / F", "cells")
    figures.legend(axes[0])
    places = np.arange(len(found))
    low, middle, high = np.percentile(list(found.values()), [25, 50, 75], axis=1)
    average = [value.mean() for value in found.values()]
    axes[1].plot(places, average, "o", color=figures.COLOURS[0], ms=4, label="mean")
    axes[1].plot(places, middle, "D", color=figures.COLOURS[1], ms=4, label="median")
    axes[1].vlines(places, low, high, color="0.6", lw=1, label="quartiles")
    labels = [
        name.removeprefix(ACCURACY).replace("NNGP leave-one-out accuracy", "leave-one-out")
        for name in found
    ]
    axes[1].set_xticks(places, labels, rotation=90, fontsize=6)
    figures.label(axes[1], "", "accuracy")
    figures.legend(axes[1])
    seen = truth >= np.percentile(truth, 2)
    shown = [
        [n for n in found if n.startswith(ACCURACY)][-1],
        next(n for n in found if "epoch" in n),
    ]
    for one, name in zip(axes[2:], shown, strict=True):
        dots: dict[str, Any] = {"s": 4, "alpha": 0.3, "lw": 0, "rasterized": True}
        one.scatter(found[name][seen], truth[seen], color=figures.COLOURS[0], **dots)
        label = f"accuracy after {name}" if name.endswith("epochs") else name
        figures.label(one, label, "accuracy after long training")
    figure.suptitle(
        f"{len(truth):,} cells; scatter without the {(~seen).sum()} worst by truth", fontsize=9
    )
    return figure
