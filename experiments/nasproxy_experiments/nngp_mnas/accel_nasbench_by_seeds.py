"""NNGP of 1,000 images and four members, by three seeds, on Accel-NASBench."""

from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.nngp_mnas.by_seeds import needs, report
from nasproxy_experiments.nngp_mnas.study import ACCEL, Study

CLAIM = (
    "On MNAS the NNGP's accuracy correlates with the reward, yet the ten that it puts first hold "
    "none as good as the best of ten random. Rules, written before a score was read, by accuracy "
    "at the largest setting: the first holds if the interval of τ, over networks and seeds, is "
    "above 0; the second if that of the gain over random is below 0."
)
NEEDS = needs(ACCEL)


def run(study: Study) -> Finding:
    return report(study.benchmarks[ACCEL])
