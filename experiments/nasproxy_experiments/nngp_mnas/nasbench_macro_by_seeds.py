"""NNGP of 1,000 images and four members, by three seeds, on NAS-Bench-Macro."""

from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.nngp_mnas.by_seeds import needs, report
from nasproxy_experiments.nngp_mnas.study import MACRO, Study

CLAIM = (
    "(Not the paper's.) A proxy is worth its cost if it adds to what counting tells. Rule, written "
    "before a score was read: it does if the interval of what a mean rank with it gains in τ over "
    "the best of size and counts, over networks and seeds, is above 0."
)
NEEDS = needs(MACRO)


def run(study: Study) -> Finding:
    return report(study.benchmarks[MACRO])
