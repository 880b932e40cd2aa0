"""Claims of Park et al. 2020 on MNAS, judged on Accel-NASBench; as in nngp_nas, written after.

Those of several seeds (25, 26w and ours) were committed before their scores were made.
"""

from nasproxy.reproduce import claims, evidence
from nasproxy.reproduce.claims import Claim, Rule
from nasproxy.reproduce.evidence import cell
from nasproxy_experiments.nngp_mnas.by_seeds import ACCURACY, MIXED, OVER, REWARD
from nasproxy_experiments.nngp_mnas.study import ACCEL, LARGE, SEEDS
from nasproxy_experiments.nngp_nas.claims import ruled

_FIG7 = "Figure 7 and section 5, MNAS"
_FOLDER = "nngp_mnas/accel_nasbench"
_LARGEST = "NNGP validation accuracy (500, 250, 2)"

_SEEDS = "nngp_mnas/{}_by_seeds"
_SETTINGS = {
    space: f"({sizes['n_train']}, {sizes['n_valid']}, {max(sizes['ensemble'])})"
    for space, sizes in LARGE.items()
}
_SMALLER = "(1,000, 5,000), where the paper has (8,000, 5,000)"


def _large(name: str) -> evidence.Find:
    score = f"NNGP validation accuracy {_SETTINGS[ACCEL]}"
    where: evidence.Where = {"predicts": REWARD, "score": score}
    table = f"{_SEEDS.format(ACCEL)}/ranking.csv"
    return cell(table, where, name, n="networks", of="networks", seeds=len(SEEDS))


CLAIMS: tuple[Claim, ...] = (
    ruled(
        "25", _FIG7, "the ten that NNGP puts first hold none as good as the best of ten random",
        "figure only",
        "the gain in reward, of the best of 3 by NNGP accuracy over the best of 3 random in 100,",
        Rule(below=0), _large("finds more than random"), _SEEDS.format(ACCEL), _SMALLER,
    ),
    ruled(
        "26", _FIG7, "NNGP and the MNAS reward correlate, not trivially", "figure only",
        "the τ of NNGP accuracy with the reward", Rule(above=0),
        cell(f"{_FOLDER}/reward.csv", {"score": _LARGEST}, "τ", n="cells"), _FOLDER,
        "(500, 250), M 2, where the paper has (8,000, 5,000), M 4",
    ),
    ruled(
        "26w", _FIG7, "NNGP and the MNAS reward correlate, by three seeds", "figure only",
        "the τ of NNGP accuracy with the reward", Rule(above=0), _large("τ"),
        _SEEDS.format(ACCEL), _SMALLER,
    ),
    *(
        claims.ruled(
            "Ours", f"m{i}", "Other spaces", f"NNGP adds to size and counts on {space}", "",
            "what a mean rank with its −MSE gains in τ over the best of size and counts",
            Rule(above=0),
            cell(
                f"{_SEEDS.format(space)}/ranking.csv",
                {
                    "predicts": ACCURACY,
                    "score": f"{MIXED} NNGP −validation MSE {setting}",
                },
                OVER, n="networks", of="networks", seeds=len(SEEDS),
            ),
            _SEEDS.format(space),
        )
        for i, (space, setting) in enumerate(_SETTINGS.items(), start=1)
    ),
)  # fmt: skip
