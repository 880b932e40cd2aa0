"""NNGP against size on NAS-Bench-201."""

from experiments.nngp_mnas.against_size import report
from experiments.nngp_mnas.study import TOPOLOGY, Study
from experiments.reproduction import Finding

CLAIM = (
    "(Not the paper's.) Published Spearman correlations on CIFAR-10: nwot .77, synflow .73, "
    "parameters .72 (1,000 architectures, NAS-Bench-Suite-Zero)."
)
NEEDS = (f"{TOPOLOGY}/nngp",)


def run(study: Study) -> Finding:
    return report(
        study.benchmarks[TOPOLOGY],
        "Published Spearman, not τ: nwot .77, synflow .73, params .72.",
    )
