"""What the default's choice rests on, and the rules that judge it, committed before the scores."""

from nasproxy.reproduce import claims
from nasproxy.reproduce.claims import Rule
from nasproxy.reproduce.evidence import cell
from nasproxy.reproduce.scores import MEASURES
from nasproxy_experiments.nngp_default.equal_rank import MARGIN, MEASURE, NARROW
from nasproxy_experiments.nngp_default.study import RANK_SEEDS, WIDTHS

REPORT = "nngp_default/equal_rank"
ALIKE = Rule(-MARGIN, MARGIN)
"""A margin that was chosen here: what M 8 gains over M 1 is more."""

CLAIMS = tuple(
    claims.ruled(
        "Ours",
        f"w{wide.width}",
        "Width at equal rank of the kernel",
        f"width {NARROW} ranks as width {wide.width} does, at equal rank of the kernel",
        "",
        f"the gain in τ of width {wide.width}, M {wide.members[-1]}, at 16×16 pixels and n_t 1,000",
        ALIKE,
        cell(
            f"{REPORT}/widths.csv",
            {"score": MEASURES[MEASURE], "width": wide.width, "M": wide.members[-1]},
            "gain",
            n="cells",
            seeds=len(RANK_SEEDS),
        ),
        REPORT,
    )
    for wide in WIDTHS[1:]
)
"""A claim a width."""
