"""NNGP against size on NAS-Bench-Macro."""

from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.nngp_mnas.against_size import report
from nasproxy_experiments.nngp_mnas.study import MACRO, Study

CLAIM = "(Not the paper's.) A proxy is worth its cost if it ranks better than counting does."
NEEDS = (f"{MACRO}/nngp",)


def run(study: Study) -> Finding:
    return report(study.benchmarks[MACRO])
