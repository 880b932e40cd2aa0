"""NNGP against accuracy and reward on Accel-NASBench's MBConv space (figure 7, right panels)."""

import pandas as pd

from nasproxy import metrics
from nasproxy.reproduce.scores import MEASURES
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.nngp_mnas.against_size import compare, draw, notes
from nasproxy_experiments.nngp_mnas.study import ACCEL, TARGET_RANGE, Study

CLAIM = "On MNAS the NNGP's accuracy correlates non-trivially with the reward of 5-epoch training."
NEEDS = (f"{ACCEL}/nngp",)


def run(study: Study) -> Finding:
    benchmark = study.benchmarks[ACCEL]
    table, verdict, _ = compare(benchmark, benchmark.truth, "accuracy")
    compared, said = [table], [verdict]
    judged = "accuracy, since no latency is known here,"
    if benchmark.latency is not None:
        target = float(benchmark.latency.median())
        pair = pd.concat([benchmark.truth, benchmark.latency], axis=1, join="inner").dropna()
        reward = pd.Series(
            metrics.mnas_reward(pair.iloc[:, 0], pair.iloc[:, 1], target=target), index=pair.index
        )
        table, verdict, _ = compare(benchmark, reward, "reward")
        compared.append(table)
        said += [verdict, TARGET_RANGE]
        judged = f"the reward of {benchmark.said.partition(',')[0]}"
    main = f"NNGP {MEASURES['accuracy']} {benchmark.scores('nngp').largest}"
    low, high = table.set_index("score").loc[main, ["τ low", "τ high"]].to_numpy(float)
    shown = "holds" if low > 0 else "is contradicted" if high < 0 else "is not shown"
    said.insert(0, f"The claim, judged by {judged} {shown}.")
    tables = {t["predicts"].iloc[0]: t for t in compared}
    return Finding(" ".join(said), tables, draw(benchmark, compared), notes(benchmark))
