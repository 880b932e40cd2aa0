"""Does a narrow network's NNGP rank as the full width's does? (the check behind all the rest)"""

import pandas as pd

from nasproxy.reproduce import figures
from nasproxy.reproduce.scores import MEASURES
from nasproxy.reproduce.statistics import correlations, tau, tau_gain
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.nngp_nas.study import Study

CLAIM = "The paper runs networks at the benchmark's full width, 128; here most have 16 channels."
NEEDS = ("wide", "narrow", "narrow again")


def run(study: Study) -> Finding:
    scores = {need: study.scores(need) for need in NEEDS}
    names = {
        need: f"width {s.request.proxy.width}, seed {s.request.seed}" for need, s in scores.items()
    }
    rows = [
        {
            "network": names[need],
            "score": text,
            **correlations(*study.joined(one.column(measure=measure))),
            "seconds": one.seconds,
        }
        for need, one in scores.items()
        for measure, text in MEASURES.items()
    ]
    between = []
    for measure, text in MEASURES.items():
        columns = {n: s.column(measure=measure) for n, s in scores.items()}
        for other in NEEDS[::2]:
            first, second, _ = study.joined(columns[other], columns["narrow"])
            value, low, high = tau(first, second)
            between.append(
                {
                    "score": text,
                    "between": f"{names['narrow']} and {names[other]}",
                    "τ": value,
                    "low": low,
                    "high": high,
                }
            )
    table, agreement = pd.DataFrame(rows), pd.DataFrame(between)
    gain = tau_gain(*study.joined(scores["wide"].column(), scores["narrow"].column()))
    mse = [s.column(measure="negative_mse") for s in scores.values()]
    gain_mse = tau_gain(*study.joined(mse[0], mse[1]))
    across, again = (agreement[agreement["score"] == MEASURES["accuracy"]].iloc[i] for i in (0, 1))
    wide = scores["wide"].request.proxy.width
    differs = gain.low > 0 or gain.high < 0
    verdict = (
        f"Full width {'changes' if differs else 'does not measurably change'} how well NNGP "
        f"accuracy ranks: τ gain of width {wide} over {scores['narrow'].request.proxy.width} is "
        f"{gain} (−MSE: {gain_mse}). The two widths agree with each other with τ {across['τ']:.3f} "
        f"[{across['low']:.3f}, {across['high']:.3f}] on the same images; the narrow width with "
        f"itself under another seed, which changes the images too, with {again['τ']:.3f} "
        f"[{again['low']:.3f}, {again['high']:.3f}]."
    )
    figure, axes = figures.panels(2)
    for colour, (text, part) in zip(
        figures.COLOURS, table.groupby("score", sort=False), strict=False
    ):
        values = part[["τ", "τ low", "τ high"]].to_numpy(float)
        places = [i + 0.12 * figures.COLOURS.index(colour) for i in range(len(part))]
        figures.intervals(axes[0], places, values, colour, label=str(text))
    axes[0].set_xticks(range(len(NEEDS)), [names[n].replace(", ", "\n") for n in NEEDS])
    figures.label(axes[0], "", "Kendall τ with the truth")
    figures.legend(axes[0])
    first, second, _ = study.joined(scores["narrow"].column(), scores["wide"].column())
    axes[1].scatter(first, second, s=10, alpha=0.5, color=figures.COLOURS[0], lw=0)
    figures.label(axes[1], f"NNGP accuracy, {names['narrow']}", f"NNGP accuracy, {names['wide']}")
    return Finding(verdict, {"widths": table, "agreement": agreement}, figure)
