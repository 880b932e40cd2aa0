"""NNGP against size on NAS-Bench-201."""

from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.nngp_mnas.against_size import report
from nasproxy_experiments.nngp_mnas.study import TOPOLOGY, Study

CLAIM = (
    "(Not the paper's.) A proxy is worth its cost if it ranks better than counting does. Published "
    "Spearman correlations on CIFAR-10: nwot .77, synflow .73, parameters .72 (1,000 "
    "architectures, NAS-Bench-Suite-Zero)."
)
NEEDS = (f"{TOPOLOGY}/nngp",)


def run(study: Study) -> Finding:
    return report(study.benchmarks[TOPOLOGY])
