"""That a screen helps a search: judged by the gains in ``screens/gains.csv``."""

from pathlib import Path

import pandas as pd

from nasproxy.reproduce.claims import Claim, Evidence
from nasproxy_experiments.search.screens import HELPS, REPEATS, SEARCHES, gain_of
from nasproxy_experiments.search.study import BENCHES, POOLS, SEEDS

REPORT = "search/screens/README.md"
_OTHERS = {"none": "no screen", "size": "a screen by size", "counts": "a screen by counts"}


def _claim(number: int, space: str, search: str, other: str) -> Claim:
    def find(results: Path) -> Evidence:
        table = pd.read_csv(results / "search/screens/gains.csv")
        gain = gain_of(table, space, search, "nngp", other)
        return Evidence(gain, POOLS * REPEATS, f"searches in {POOLS} pools", len(SEEDS))

    return Claim(
        paper="Ours",
        number=str(number),
        section=f"Searches of {space}",
        text=f"{search} behind an NNGP screen finds better than behind {_OTHERS[other]}",
        published="none",
        quantity=f"the gain in final accuracy of {search} behind the NNGP over {_OTHERS[other]}, "
        "in points at 10 mean trainings,",
        rule=HELPS,
        find=find,
        report=REPORT,
    )


CLAIMS = tuple(
    _claim(number, *kind)
    for number, kind in enumerate(
        ((b.name, search, other) for b in BENCHES for search in SEARCHES for other in _OTHERS),
        start=1,
    )
)
