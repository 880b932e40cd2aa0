"""Scoring architectures: what is stored is read, the rest is computed and stored at once."""

from nasproxy.scoring.evaluation import data_id, run_id
from nasproxy.scoring.modules import score_modules
from nasproxy.scoring.scores import checked_seeds, reasons, score
from nasproxy.scoring.session import SEED, Session
from nasproxy.scoring.top import top

__all__ = [
    "SEED",
    "Session",
    "checked_seeds",
    "data_id",
    "reasons",
    "run_id",
    "score",
    "score_modules",
    "top",
]
