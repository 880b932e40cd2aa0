"""Claims of Park et al. 2020 on MNAS, judged on Accel-NASBench; as in nngp_nas, written after."""

from nasproxy.reproduce.claims import Claim, Rule
from nasproxy.reproduce.evidence import cell
from nasproxy_experiments.nngp_nas.claims import ruled, unjudged

_FIG7 = "Figure 7 and section 5, MNAS"
_FOLDER = "nngp_mnas/accel_nasbench"
_LARGEST = "NNGP validation accuracy (500, 250, 2)"

CLAIMS: tuple[Claim, ...] = (
    unjudged(
        "25", _FIG7, "the ten that NNGP puts first hold none as good as the best of ten random",
        "figure only", "the report compares one top ten, without an interval.",
    ),
    ruled(
        "26", _FIG7, "NNGP and the MNAS reward correlate, not trivially", "figure only",
        "the τ of NNGP accuracy with the reward", Rule(above=0),
        cell(f"{_FOLDER}/reward.csv", {"score": _LARGEST}, "τ", n="cells"), _FOLDER,
        "(500, 250), M 2, where the paper has (8,000, 5,000), M 4",
    ),
)  # fmt: skip
