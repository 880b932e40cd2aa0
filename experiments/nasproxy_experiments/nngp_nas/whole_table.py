"""The benchmark's own numbers: sizes, size against compute, the worst networks (4.1, 5 and F).

Sizes are counted over the whole table; compute is counted for the drawn cells; the worst networks
are those of two disjoint random halves of the cells whose shortened training is published.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy import metrics
from nasproxy.reproduce import figures
from nasproxy.reproduce.evidence import exact
from nasproxy.reproduce.statistics import Estimate, columns, estimate
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.nngp_nas.study import Study

CLAIM = (
    "Models have 2M to 50M parameters, 20 times as many; 297k have fewer than 10M; parameters and "
    "compute correlate almost perfectly; the worst of 10,000 random networks has a validation "
    "accuracy of 4.37, 9.12, 9.49 and 9.49 % after 4, 12, 36 and 108 epochs."
)
NEEDS = ()
MILLION = 1e6
SMALL = 10 * MILLION


def run(study: Study) -> Finding:
    sizes = study.sizes
    published = study.published
    parameters = sizes["params"]
    training = study.shortened
    if published is not None:
        parameters = parameters if published.parameters is None else published.parameters
        if published.full is not None:
            training = training.join(published.full.rename(108), how="inner")
    table = numbers(parameters, sizes, training)
    return Finding(_verdict(table), {"numbers": table}, _figure(parameters, sizes))


def numbers(parameters: pd.Series, sizes: pd.DataFrame, training: pd.DataFrame) -> pd.DataFrame:
    """A row a number, with its interval and n.

    Args:
        parameters: of every network that is counted.
        sizes: ``params`` and ``flops`` of the drawn ones.
        training: validation accuracy, a column a number of epochs.
    """
    n, count = len(sizes), len(parameters)
    found: list[tuple[str, Estimate, int]] = [
        ("fewest parameters, millions", exact(parameters.min() / MILLION), count),
        ("most parameters, millions", exact(parameters.max() / MILLION), count),
        ("most over fewest parameters", exact(parameters.max() / parameters.min()), count),
        ("under 10M parameters, thousands", exact((parameters < SMALL).sum() / 1e3), count),
    ]
    pair = sizes["params"].to_numpy(float), sizes["flops"].to_numpy(float)
    for name, statistic in (("r", metrics.pearson), ("τ", metrics.kendall_tau)):
        found.append((f"{name} of parameters and FLOPs", estimate(statistic, *pair), n))
    order = np.random.default_rng(0).permutation(len(training))
    for epochs in sorted(training.columns):
        values = 100 * training[epochs].to_numpy(float)
        worst = [values[half].min() for half in np.array_split(order, 2)]
        spread = Estimate(float(np.mean(worst)), min(worst), max(worst))
        found.append((f"worst accuracy after {epochs} epochs, %", spread, len(order)))
    return pd.DataFrame([{"number": name, **columns("value", of), "n": k} for name, of, k in found])


def _verdict(table: pd.DataFrame) -> str:
    of = table.set_index("number")["value"]
    worst = of[of.index.str.startswith("worst")]
    return (
        f"Networks have {of['fewest parameters, millions']:.3g}M to "
        f"{of['most parameters, millions']:.3g}M parameters, "
        f"{of['under 10M parameters, thousands']:.4g}k of them fewer than 10M; parameters and "
        f"FLOPs correlate with r {of['r of parameters and FLOPs']:.3f}; the worst accuracies are "
        f"{', '.join(f'{value:.2f}' for value in worst)} %."
    )


def _figure(parameters: pd.Series, sizes: pd.DataFrame) -> Figure:
    figure, (left, right) = figures.panels(2)
    edges = np.geomspace(parameters.min(), parameters.max() * 1.001, 60) / MILLION
    left.hist(parameters / MILLION, edges, color=figures.COLOURS[0])
    figures.logarithmic(left)
    figures.label(left, "parameters, millions", "networks")
    right.plot(sizes["params"] / MILLION, sizes["flops"] / 1e9, ".", ms=2, color=figures.COLOURS[0])
    figures.label(right, "parameters, millions", "forward GFLOPs")
    return figure
