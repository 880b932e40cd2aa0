"""F_train/F, NNGP and shortened training against truth, means and medians (figures S2–S5)."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments import figures
from experiments.nngp_nas.study import Study
from experiments.reproduction import Finding
from experiments.scores import MEASURES
from experiments.statistics import correlations
from search_spaces.graph import Graph
from search_spaces.layers import Layer, Shape

CLAIM = "A training step costs three forward passes: F_train/F ≈ 3 for every network."
NEEDS = ("many",)
BATCH = 256
"""Images a step, the benchmark's."""


def run(study: Study) -> Finding:
    ratios = pd.DataFrame(
        [_ratios(study.space.graph(c, (32, 32, 3), 10)) for c in study.cells.values()]
    )
    scores = study.scores("many")
    shown = {f"NNGP accuracy {s}": scores.column(s) for s in scores.settings}
    shown |= {f"NNGP {MEASURES['loo_accuracy']}": scores.column(measure="loo_accuracy")}
    shown |= {f"{e} epochs": study.shortened[e] for e in study.budgets}
    rows, pairs = [], {}
    for name, column in shown.items():
        value, truth = study.joined(column)
        pairs[name] = value, truth
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
        _verdict(ratios),
        {"scores": table, "ratios": ratios.describe().rename_axis("of").reset_index()},
        _figure(ratios, pairs, study, str(scores.largest)),
        (
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


def _verdict(ratios: pd.DataFrame) -> str:
    shown = [
        f"{column.median():.3f} (from {column.min():.3f} to {column.max():.3f}) counting "
        f"{'products with weights' if name == 'products' else 'all operations as XLA does'}"
        for name, column in ratios.items()
    ]
    near = bool(((ratios > 2.5) & (ratios < 3.5)).to_numpy().all())
    return (
        f"The claim {'holds' if near else 'holds roughly'}: the median ratio is {', '.join(shown)}."
    )


def _figure(ratios: pd.DataFrame, pairs: dict, study: Study, largest: str) -> Figure:
    names = [f"NNGP accuracy {largest}", f"NNGP {MEASURES['loo_accuracy']}"]
    names += [f"{e} epochs" for e in study.budgets]
    figure, axes = figures.panels(3, 3)
    for colour, (name, column) in zip(figures.COLOURS, ratios.items(), strict=False):
        axes[0].hist(column, bins=40, color=colour, alpha=0.7, label=str(name))
    figures.label(axes[0], "F_train / F", "cells")
    figures.legend(axes[0])
    accuracies = [name for name in pairs if name.startswith("NNGP accuracy")]
    for place, name in enumerate([*accuracies, *names[1:]]):
        value = pairs[name][0]
        style = {"color": figures.COLOURS[0], "ms": 4}
        axes[1].plot(place, value.mean(), "o", label="mean" if place == 0 else None, **style)
        style["color"] = figures.COLOURS[1]
        axes[1].plot(place, np.median(value), "D", label="median" if place == 0 else None, **style)
        axes[1].vlines(place, *np.percentile(value, [25, 75]), color="0.6", lw=1)
    labels = [n.replace("NNGP accuracy ", "").replace(" accuracy", "") for n in accuracies]
    labels += ["leave-one-out", *(f"{e} epochs" for e in study.budgets)]
    axes[1].set_xticks(range(len(labels)), labels, rotation=90, fontsize=6)
    figures.label(axes[1], "", "accuracy (line: quartiles)")
    figures.legend(axes[1])
    for one, name in zip(axes[2:], names, strict=False):
        value, truth = pairs[name]
        floor = np.percentile(truth, 2)
        seen = truth >= floor
        one.scatter(
            value[seen],
            truth[seen],
            s=4,
            alpha=0.3,
            color=figures.COLOURS[0],
            lw=0,
            rasterized=True,
        )
        label = f"accuracy after {name}" if name.endswith("epochs") else name
        figures.label(one, label, "accuracy after long training", f"{(~seen).sum()} lower left out")
    for one in axes[2 + len(names) :]:
        one.remove()
    return figure
